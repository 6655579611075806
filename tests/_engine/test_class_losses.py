"""The native losses of every class against the formulas in float64: targets, sizes, layouts, threads, edges."""

from __future__ import annotations

from functools import partial

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy._engine.softmax import fused_cpu
from crossentropy._statistics.cpu import memory
from crossentropy.links import Focal, GeneralizedCrossEntropy, MeanAbsoluteError, Tsallis
from crossentropy.losses.brier import brier_loss
from crossentropy.losses.hinge import hinge_loss
from crossentropy.losses.label_noise import forward_corrected_loss
from crossentropy.targets import Probabilities

CLASSES = [1, 2, 10, 63, 64, 65, 128, 1000, 4097]
LINKS = [Focal(2.0), Focal(0.5), GeneralizedCrossEntropy(0.7), Tsallis(-0.5), MeanAbsoluteError()]
each_link = pytest.mark.parametrize("link", LINKS, ids=str)
INF = float("inf")


def problems(name, shape, rng):
    """A loss of logits alone."""
    n, C = shape
    y, t = rng.integers(C, size=n), rng.dirichlet(np.full(C, 0.3), n)
    w, omega = rng.uniform(0.5, 2, C), rng.uniform(0.5, 2, n)
    prior = rng.dirichlet(np.ones(C))
    return {
        "soft": (t, {}),
        "soft, weighted": (t, {"class_weight": w, "sample_weight": omega, "temperature": 2.0}),
        "soft, smoothed": (t, {"label_smoothing": 0.2, "smoothing_prior": prior, "class_weight": w}),
        "smoothed": (y, {"label_smoothing": 0.1}),
        "smoothed, weighted": (
            y,
            {"label_smoothing": 0.3, "smoothing_prior": prior, "class_weight": w, "ignore_index": int(y[0])},
        ),
        "free masses": (Probabilities(rng.normal(size=(n, C)), normalized=False), {"normalizer": "count"}),
    }[name]


TARGETS = ("soft", "soft, weighted", "soft, smoothed", "smoothed", "smoothed, weighted", "free masses")


def compare(loss, z, labels, options, monkeypatch, *, within):
    """The kernel in the dtype of `z` against the formulas in float64."""
    value, gradient = ce.loss_and_gradient(loss, z, labels, **options)
    with monkeypatch.context() as without:
        without.setattr(fused_cpu, "serves", lambda problem: False)
        true_value, truth = ce.loss_and_gradient(loss, z.astype("float64"), labels, **options)
    size = np.abs(truth).max() if truth.size else 0.0
    np.testing.assert_allclose(value, true_value, rtol=within, atol=within)
    least = (
        np.finfo(z.dtype).smallest_subnormal if z.dtype == np.float16 else 0.0
    )  # a half has no smaller steps
    np.testing.assert_allclose(gradient, truth, rtol=within * 10, atol=size * within + least)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("target", TARGETS)
@each_link
def test_links_on_every_class_agree_with_the_formulas(link, target, classes, monkeypatch):
    rng = np.random.default_rng(classes)
    labels, options = problems(target, (5, classes), rng)
    z = 3 * rng.normal(size=(5, classes))
    for dtype, within in (("float64", 1e-13), ("float32", 1e-6), ("float16", 1e-3)):
        given = {**options, "link": link}
        compare(ce.softmax_cross_entropy, z.astype(dtype), labels, given, monkeypatch, within=within)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize(
    "loss",
    [brier_loss, hinge_loss, partial(hinge_loss, kind="weston-watkins", margin=0.5)],
    ids=["brier", "crammer-singer", "weston-watkins"],
)
def test_rivals_agree_with_the_formulas(loss, classes, monkeypatch):
    rng = np.random.default_rng(classes)
    z, y = 3 * rng.normal(size=(6, classes)), rng.integers(classes, size=6)
    options = {"class_weight": rng.uniform(0.5, 2, classes), "ignore_index": int(y[1])}
    for dtype, within in (("float64", 1e-13), ("float32", 1e-6), ("float16", 1e-3)):
        compare(loss, z.astype(dtype), y, options, monkeypatch, within=within)
        if loss is brier_loss:
            soft = {"class_weight": options["class_weight"]}
            compare(
                loss, z.astype(dtype), rng.dirichlet(np.ones(classes), 6), soft, monkeypatch, within=within
            )


@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("classes", [2, 10, 1000, 20000])
@each_link
def test_errors_are_within_the_bounds_of_the_numerics_page(link, classes, scale, monkeypatch):
    """8 ulp of the sum of the terms' magnitudes, in a gradient times max(1, |log p|); a row's sum within 2 ulp of 0."""
    rng = np.random.default_rng(classes + scale)
    z = (scale * rng.normal(size=(max(2, 2000 // classes), classes))).astype("float32")
    t = rng.dirichlet(np.full(classes, 0.5), len(z)).astype("float32")
    given = {"link": link, "reduction": "none"}
    found = ce.loss_and_gradient(ce.softmax_cross_entropy, z, t, **given)
    monkeypatch.setattr(fused_cpu, "serves", lambda problem: False)
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z.astype("float64"), t, **given)
    ulp, tiny = 2.0**-23, 1e-36
    log_p = z - z.max(-1, keepdims=True).astype("float64")
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    gains = t * link.gain(-np.maximum(log_p, -700.0) + np.log1p(-np.minimum(np.exp(log_p), 1 - 1e-16)))
    sizes = np.exp(log_p) * gains.sum(-1, keepdims=True) + gains
    assert (np.abs(found[0] - value) <= 8 * ulp * value).all()
    assert (np.abs(found[1] - gradient) <= 8 * ulp * sizes * np.maximum(1, -log_p) + tiny).all()
    assert (np.abs(found[1].sum(-1, dtype="float64")) <= 2 * ulp * sizes.sum(-1) + tiny).all()


@pytest.mark.parametrize("margin", [5.0, 30.0, 200.0])
@each_link
def test_a_confident_row_keeps_its_digits(link, margin):
    """Soft targets on the likeliest class alone: the loss is φ of a p so near 1 that 1 − p must not be a difference."""
    z, t = np.array([[margin, 0.0, 1.0, -INF]]), np.array([[1.0, 0.0, 0.0, 0.0]])
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, t, link=link)
    with mpmath.workdps(400):
        e = [mpmath.exp(v) for v in z[0, :3]]
        p = [x / mpmath.fsum(e) for x in e]
        miss, log_p = p[1] + p[2], mpmath.log1p(-(p[1] + p[2]))
        if isinstance(link, Focal):
            phi = -(miss**link.gamma) * log_p
            gain = miss**link.gamma - link.gamma * miss ** (link.gamma - 1) * p[0] * log_p
        else:
            q, k = {
                GeneralizedCrossEntropy: lambda: (mpmath.mpf(link.q), 1),
                Tsallis: lambda: (1 - mpmath.mpf(link.t), 1),
                MeanAbsoluteError: lambda: (mpmath.mpf(1), 2),
            }[type(link)]()
            phi, gain = -k * mpmath.expm1(q * log_p) / q, k * p[0] ** q
        slopes = [float(x) for x in (-gain * miss, gain * p[1], gain * p[2])]
    assert value == pytest.approx(float(phi), rel=1e-12, abs=1e-320)
    np.testing.assert_allclose(gradient[0], [*slopes, 0.0], rtol=1e-12, atol=1e-320)


@each_link
def test_masses_on_impossible_classes(link):
    z = np.array([[0.0, 1.0, -INF], [0.0, 1.0, -INF]], "float32")
    t = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]], "float32")
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, t, link=link, reduction="none")
    assert np.isfinite(value[0])
    assert gradient[0, 2] == 0
    assert np.isinf(value[1]) == isinstance(link, Focal)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-6)


@each_link
def test_nan_stays_in_its_row_and_rows_that_count_nothing_have_no_gradient(link):
    z, y = np.random.default_rng(0).normal(size=(5, 70)).astype("float32"), np.array([0, 69, 3, -1, 5])
    z[1, 60], z[2], z[3, 1], z[4, 0] = np.nan, -INF, np.nan, INF
    omega = np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    value, gradient = ce.loss_and_gradient(
        ce.softmax_cross_entropy,
        z,
        y,
        link=link,
        label_smoothing=0.1,
        ignore_index=-1,
        sample_weight=omega,
        reduction="none",
    )
    np.testing.assert_array_equal(np.isnan(value), [False, True, True, False, False])
    np.testing.assert_array_equal(np.isnan(gradient).all(-1), [False, True, True, False, False])
    assert (gradient[3:] == 0).all()
    assert (value[3:] == 0).all()


def test_a_label_outside_the_classes_and_masses_that_miss_one_are_errors():
    z, given = np.zeros((3, 4), "float32"), {"link": Focal(2.0), "label_smoothing": 0.1}
    with pytest.raises(ValueError, match=r"label 4 at row 2 is outside \[0, 4\)"):
        ce.softmax_cross_entropy(z, np.array([0, 1, 4]), **given)
    t = np.full((3, 4), 0.25, "float32")
    t[1] *= 1.001
    with pytest.raises(ValueError, match=r"the probabilities of row 1 sum to 1\.001"):
        ce.softmax_cross_entropy(z, t, **given)
    t[1] = np.nan
    with pytest.raises(ValueError, match="the probabilities of row 1 sum to nan"):
        ce.softmax_cross_entropy(z, t, **given)
    assert np.isfinite(ce.softmax_cross_entropy(z, t, sample_weight=np.array([1.0, 0.0, 1.0]), **given))


@pytest.mark.parametrize("kind", ["crammer-singer", "weston-watkins"])
@pytest.mark.parametrize("lead", [0.0, 100.0])
def test_the_gradient_of_a_hinge_of_nan_is_nan(kind, lead):
    z = np.zeros((2, 40))
    z[1, 39], z[1, 5] = np.nan, lead
    value, gradient = ce.loss_and_gradient(hinge_loss, z, np.array([5, 5]), kind=kind, reduction="none")
    np.testing.assert_array_equal(np.isnan(value), [False, True])
    np.testing.assert_array_equal(np.isnan(gradient).all(-1), [False, True])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_row_has_the_same_bits_at_any_place_in_any_layout_and_on_any_number_of_threads(axis, monkeypatch):
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(70, 45, 50)).astype("float32"), rng.dirichlet(np.ones(45), (70, 50))
    t = np.moveaxis(t, -1, 1).astype("float32")

    def found(z, t, axis):
        given = {"link": Focal(2.0), "reduction": "none", "axis": axis}
        return ce.loss_and_gradient(ce.softmax_cross_entropy, z, t, **given)

    value, gradient = found(z, t, 1)
    moved = [np.moveaxis(x, 1, axis) for x in (z, t)]
    for layout in (moved, [np.ascontiguousarray(x) for x in moved]):
        same, slopes = found(*layout, axis)
        assert same.tobytes() == value.tobytes()
        np.testing.assert_array_equal(np.moveaxis(slopes, axis, 1), gradient)
    monkeypatch.setattr(memory, "_THREADS", 3)
    same, slopes = found(z, t, 1)
    assert same.tobytes() == value.tobytes()
    assert slopes.tobytes() == gradient.tobytes()
    part, slopes = found(z[3:5, :, 7:9], t[3:5, :, 7:9], 1)
    np.testing.assert_array_equal(part, value[3:5, 7:9])
    np.testing.assert_array_equal(slopes, gradient[3:5, :, 7:9])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@each_link
def test_half_precision_is_computed_as_single_and_rounded_once(link, dtype):
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(9, 130, generator=generator).to(getattr(torch, dtype))
    t = torch.rand(9, 130, generator=generator).softmax(-1)
    half, single = z.clone().requires_grad_(), z.float().requires_grad_()
    values = [ce.softmax_cross_entropy(x, t, link=link) for x in (half, single)]
    assert torch.equal(*values)
    for value in values:
        value.backward()
    assert torch.equal(half.grad, single.grad.to(half.dtype))


def test_the_torch_loss_has_derivatives_of_the_second_order_and_of_soft_targets():
    torch = pytest.importorskip("torch")
    z = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    t = torch.rand(3, 5, dtype=torch.float64).softmax(-1).requires_grad_()
    loss = partial(ce.softmax_cross_entropy, link=Focal(2.0), validate="none")
    assert torch.autograd.gradgradcheck(lambda z: loss(z, t.detach()), z)
    assert torch.autograd.gradcheck(loss, (z, t))
    y = torch.tensor([0, 4, 2])
    assert torch.autograd.gradgradcheck(lambda z: brier_loss(z, y), z)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 1), (9, 2), (40, 10), (7, 65)], ids=str)
def test_a_mixture_of_classes_is_that_of_the_formulas(shape, dtype, monkeypatch):
    n, C = shape
    rng = np.random.default_rng(n + C)
    T = rng.dirichlet(np.full(C, 0.2), C)
    T[:, 0] = np.where(T[:, 0] < 0.1, 0.0, T[:, 0])  # some classes never have the label 0
    T /= T.sum(axis=1, keepdims=True)
    z, y = (rng.normal(size=shape) * 4).astype(dtype), rng.integers(C, size=n)
    options = {"sample_weight": np.arange(n) % 3.0, "class_weight": rng.uniform(0.5, 2, C)}
    compare(partial(forward_corrected_loss, transition=T), z, y, options, monkeypatch, within=2e-6)


@pytest.mark.parametrize("gap", [30.0, 300.0, 650.0, 2000.0])
def test_a_mixture_without_the_likeliest_class_keeps_its_digits(gap):
    """The label stands for the second class alone, or for the second and the third."""
    T = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.25, 0.75]])
    z = np.array([[0.0, -gap, -gap - 1]])
    loss, gradient = ce.loss_and_gradient(forward_corrected_loss, z, np.array([1]), T)
    share = 0.25 * np.exp(-1) / (1 + 0.25 * np.exp(-1))
    truth = gap - np.log1p(0.25 * np.exp(-1)) + np.log1p(np.exp(-gap) * (1 + np.exp(-1)))
    np.testing.assert_allclose(loss, truth, rtol=1e-14)
    np.testing.assert_allclose(gradient, [[1.0, share - 1.0, -share]], rtol=1e-12)
