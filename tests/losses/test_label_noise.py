"""Losses for noisy labels: which way the transition goes, what is held constant, what a mean divides by."""

from __future__ import annotations

import gc

import mpmath
import numpy as np
import pytest

import crossentropy as ce
from crossentropy._engine.rows import transition as inverses
from crossentropy.losses.label_noise import (
    backward_corrected_loss,
    forward_corrected_loss,
    hard_bootstrapping_loss,
    soft_bootstrapping_loss,
)
from losses.any_library import libraries
from sampling import full

lib = libraries("numpy", "torch")
every = libraries("numpy", "torch", "jax")
autodiff = libraries("torch")
each_autodiff = libraries("torch", "jax")

# T[i, j] = P(labeled j | i): rows sum to one, nothing is symmetric
T = np.array([[0.7, 0.2, 0.1, 0.0], [0.05, 0.8, 0.05, 0.1], [0.2, 0.1, 0.6, 0.1], [0.0, 0.3, 0.2, 0.5]])
CORRECTED = [forward_corrected_loss, backward_corrected_loss]
BOOTSTRAPPED = [hard_bootstrapping_loss, soft_bootstrapping_loss]
HELD = [False, True]


def rows(n=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ----------------------------------------------------------------------------------- transition matrices


OPTIONS = [
    {},
    {"reduction": "none"},
    {"reduction": "sum", "sample_weight": [1.0, 0.5, 2.0, 0.0, 3.0, 1.0]},
    {"ignore_index": 2},
    {"ignore_index": 2, "normalizer": "count", "sample_weight": [1.0, 0.0, 2.0, 1.0, 3.0, 1.0]},
    {"normalizer": 7.0, "ignore_index": 0},
    {"sample_weight": [1.0, 0.5, 2.0, 0.0, 3.0, 1.0], "class_weight": [1.0, 2.0, 0.5, 3.0]},
    {"class_weight": [1.0, 2.0, 0.5, 3.0], "ignore_index": 1, "normalizer": "count"},
    {"sample_weight": [0.0] * 6, "empty": "nan"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("loss", CORRECTED)
def test_labels_without_noise_are_corrected_to_cross_entropy(lib, loss, options):
    z, y = rows()
    y[:4] = [0, 1, 2, 3]
    options = {k: lib.array(v) if isinstance(v, list) else v for k, v in options.items()}
    found = loss(lib.array(z), lib.array(y), np.eye(4).tolist(), **options)
    plain = ce.softmax_cross_entropy(lib.array(z), lib.array(y), **options)
    np.testing.assert_allclose(lib.numpy(found), lib.numpy(plain), rtol=1e-12)


@pytest.mark.parametrize("loss", [*full(CORRECTED[:1]), CORRECTED[1]])
def test_ignored_rows_may_hold_anything_and_have_no_gradient(each_autodiff, loss):
    lib = each_autodiff
    (z, y), transition = rows(4), lib.array(T)
    y[1], z[1], z[2] = -100, np.nan, np.inf
    weights = lib.array([1.0, 1.0, 0.0, 2.0])
    few = {"ignore_index": -100, "sample_weight": weights}
    plain = {"transition": transition, "sample_weight": lib.array([1.0, 2.0])}
    found = loss(lib.array(z), lib.array(y), transition, **few)
    expected = loss(lib.array(z[[0, 3]]), lib.array(y[[0, 3]]), **plain)
    assert float(found) == pytest.approx(float(expected), rel=1e-13)
    gradient = lib.gradient(lambda z: loss(z, lib.array(y), transition, **few), z)
    assert (gradient[[1, 2]] == 0).all()
    kept = lib.gradient(lambda z: loss(z, lib.array(y[[0, 3]]), **plain), z[[0, 3]])
    np.testing.assert_allclose(gradient[[0, 3]], kept, rtol=1e-12)


@pytest.mark.parametrize("loss", CORRECTED)
def test_a_transition_in_the_other_direction_is_refused(lib, loss):
    z, y = rows()
    with pytest.raises(ValueError, match=r"rows of transition do not sum to 1.*pass transition\.T"):
        loss(lib.array(z), lib.array(y), lib.array(T.T))


@pytest.mark.parametrize("loss", CORRECTED)
@pytest.mark.parametrize(
    ("transition", "message"),
    [
        (T[:3], r"transition has shape \(3, 4\).*shape \(4, 4\)"),
        (np.eye(4) + np.array([[0.1, -0.1, 0, 0]] * 4), "transition goes down to -0.1"),
        (np.full((4, 4), 0.3), "rows of transition do not sum to 1"),
        (np.full((4, 4), np.nan), "transition goes down to nan"),
    ],
)
def test_a_transition_is_a_matrix_of_distributions(loss, transition, message):
    with pytest.raises(ValueError, match=message):
        loss(*rows(), transition)


@pytest.mark.parametrize("loss", CORRECTED)
def test_labels_of_other_forms_and_out_of_range_are_refused(loss):
    z, y = rows(2)
    with pytest.raises(TypeError, match="corrected_loss has one label in every row"):
        loss(z, np.full((2, 4), 0.25), T)
    with pytest.raises(ValueError, match=r"label 4 at row 1 is outside \[0, 4\)"):
        loss(z, np.asarray([0, 4]), T)
    one_hot = ce.targets.OneHot(np.eye(4, dtype=int)[y])
    assert loss(z, one_hot, T) == loss(z, y, T)


@pytest.mark.parametrize("loss", CORRECTED)
def test_an_unchecked_label_out_of_range_makes_its_row_nan(lib, loss):
    z, _ = rows(3)
    found = loss(lib.array(z), lib.array([0, 9, -1]), T, validate="none", reduction="none")
    np.testing.assert_array_equal(np.isnan(lib.numpy(found)), [False, True, True])


@pytest.mark.parametrize("loss", CORRECTED)
def test_the_classes_may_lie_along_any_axis(lib, loss):
    z, y = rows(6)
    grid = np.moveaxis(z.reshape(2, 3, 4), -1, 1)
    found = loss(lib.array(grid), lib.array(y.reshape(2, 3)), T, axis=1, reduction="none")
    plain = loss(lib.array(z), lib.array(y), T, reduction="none")
    np.testing.assert_allclose(lib.numpy(found).reshape(-1), lib.numpy(plain), rtol=1e-14)


# ---------------------------------------------------------------------------------- forward correction


@pytest.mark.parametrize("margin", [0.0, 10.0, 40.0, 300.0])
def test_a_confident_corrected_row_has_all_its_digits(each_autodiff, margin):
    """−ln(1 − Σ_c (1 − T_cy) p_c), where the label's own class is never mislabeled."""
    lib = each_autodiff
    z = np.array([[margin, 0.0, 1.5]])
    transition = lib.array([[1.0, 0.0, 0.0], [0.25, 0.5, 0.25], [0.0, 0.125, 0.875]])
    with mpmath.workdps(400):
        e = [mpmath.exp(v) for v in (margin, 0, 1.5)]
        p = [x / mpmath.fsum(e) for x in e]
        miss = p[1] * mpmath.mpf("0.75") + p[2]
        truth = -mpmath.log1p(-miss)

        noisy = 1 - miss
        column = [mpmath.mpf(v) for v in (1, 0.25, 0)]
        # dℓ/dz_c = p_c − p_c T_c / noisy, with 1 − 1/noisy = −miss/noisy where T_c is 1
        slopes = [p[c] * (noisy - column[c]) / noisy for c in range(3)]
        slopes[0] = -p[0] * miss / noisy
    found = forward_corrected_loss(lib.array(z), lib.array([0]), transition)
    assert float(found) == pytest.approx(float(truth), rel=1e-12)
    gradient = lib.gradient(lambda z: forward_corrected_loss(z, lib.array([0]), transition), z)
    np.testing.assert_allclose(gradient[0], [float(s) for s in slopes], rtol=1e-11)


def test_a_label_that_is_never_given_costs_inf_with_a_finite_gradient(autodiff):
    never = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.4, 0.6, 0.0]])
    z = np.array([[1.0, 2.0, -1.0], [0.0, 1.0, 3.0]])

    def loss(z):
        return forward_corrected_loss(z, autodiff.array([2, 0]), never, reduction="none")

    losses = autodiff.numpy(loss(autodiff.array(z)))
    assert losses[0] == np.inf
    assert losses[1] == pytest.approx(-np.log(softmax(z[1]) @ never[:, 0]), rel=1e-14)
    assert np.isfinite(autodiff.gradient(loss, z)).all()


def test_a_masked_class_is_never_the_true_one(autodiff):
    z = np.array([[1.0, -np.inf, 0.5, 2.0]])

    def loss(z):
        return forward_corrected_loss(z, autodiff.array([1]), T)

    expected = -np.log(softmax(z[0]) @ T[:, 1])
    assert float(loss(autodiff.array(z))) == pytest.approx(expected, rel=1e-14)
    gradient = autodiff.gradient(loss, z)
    assert gradient[0, 1] == 0
    assert np.isfinite(gradient).all()


def test_a_large_offset_costs_forward_correction_no_digits(lib):
    z, y = rows()
    z = np.round(z * 64) / 64
    found = forward_corrected_loss(lib.array(z + 2.0**30), lib.array(y), T)
    assert float(found) == pytest.approx(float(forward_corrected_loss(z, y, T)), rel=1e-14)


def test_a_transition_can_be_learnt():
    torch = pytest.importorskip("torch")
    z, y = (torch.from_numpy(x) for x in rows())
    free = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 4))).requires_grad_()
    z.requires_grad_()
    for loss in CORRECTED:
        assert torch.autograd.gradcheck(lambda z, free: loss(z, y, free.softmax(-1)), (z, free))  # noqa: B023
        assert torch.autograd.gradgradcheck(lambda z: loss(z, y, T), z)  # noqa: B023


def test_half_precision_logits_are_corrected_in_more():
    torch = pytest.importorskip("torch")
    z, y = rows()
    z = torch.from_numpy(z).bfloat16()
    found = forward_corrected_loss(z, torch.from_numpy(y), T)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(
        float(forward_corrected_loss(z.double(), torch.from_numpy(y), T)), rel=1e-6
    )


# --------------------------------------------------------------------------------- backward correction


@pytest.mark.parametrize("link", [None, ce.links.Focal(2.0)])
def test_backward_correction_is_on_average_the_loss_of_the_true_label(lib, link):
    z, _ = rows(1)
    every_label = np.arange(4)
    z = lib.array(np.tile(z, (4, 1)))
    corrected = lib.numpy(backward_corrected_loss(z, lib.array(every_label), T, link=link, reduction="none"))
    plain = lib.numpy(ce.softmax_cross_entropy(z, lib.array(every_label), link=link, reduction="none"))
    np.testing.assert_allclose(T @ corrected, plain, rtol=1e-12)
    assert corrected.min() < 0


def test_forward_correction_of_every_label_is_a_distribution(lib):
    z, _ = rows(1)
    losses = forward_corrected_loss(
        lib.array(np.tile(z, (4, 1))), lib.array(np.arange(4)), T, reduction="none"
    )
    np.testing.assert_allclose(np.exp(-lib.numpy(losses)), softmax(z[0]) @ T, rtol=1e-13)


def test_noise_that_makes_classes_alike_has_no_inverse(every):
    z, y = rows()
    alike = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    near = alike + np.array([[1e-17, 0, 0, 0]] + [[0] * 4] * 3)
    third = np.full((4, 4), 0.25) + 1e-16 * np.eye(4)
    for transition in (alike, near, third):
        with pytest.raises(ValueError, match="transition has no inverse"):
            backward_corrected_loss(every.array(z), every.array(y), every.array(transition))


def test_backward_correction_has_a_gradient_in_numpy():
    z, y = rows()
    y[2] = -1
    weights = np.linspace(0.5, 2, 6)
    options = {"ignore_index": -1, "sample_weight": weights, "normalizer": "count"}
    value, gradient = ce.loss_and_gradient(backward_corrected_loss, z, y, T, **options)
    keep = y >= 0
    a = np.where(keep[:, None], np.linalg.inv(T)[y], 0)
    p = softmax(z)
    losses = -(a * np.log(p)).sum(axis=1)
    assert value == pytest.approx(np.sum(weights * losses) / 5, rel=1e-13)
    np.testing.assert_allclose(
        gradient, np.where(keep[:, None], weights[:, None] * (p - a) / 5, 0), rtol=1e-11
    )


# -------------------------------------------------------------------------------------- bootstrapping


@pytest.mark.parametrize("loss", BOOTSTRAPPED)
@pytest.mark.parametrize("options", OPTIONS[:6], ids=str)
def test_a_share_of_one_is_cross_entropy(lib, loss, options):
    z, y = rows()
    options = {k: lib.array(v) if isinstance(v, list) else v for k, v in options.items()}
    found = loss(lib.array(z), lib.array(y), label_weight=1.0, **options)
    plain = ce.softmax_cross_entropy(lib.array(z), lib.array(y), **options)
    np.testing.assert_allclose(lib.numpy(found), lib.numpy(plain), rtol=1e-14)


@pytest.mark.parametrize("loss", BOOTSTRAPPED)
@pytest.mark.parametrize("label_weight", [-0.1, 1.5, float("nan")])
def test_a_share_is_from_zero_to_one(loss, label_weight):
    with pytest.raises(ValueError, match=r"label_weight is .* a share of the label"):
        loss(*rows(), label_weight=label_weight)


def test_the_hard_guess_is_held_constant():
    """dℓ/dz = p − βe_y − (1 − β)e_ŷ, in NumPy too."""
    z, y = rows()
    target = 0.8 * np.eye(4)[y] + (1 - 0.8) * np.eye(4)[z.argmax(axis=1)]
    value, gradient = ce.loss_and_gradient(hard_bootstrapping_loss, z, y, reduction="sum")
    np.testing.assert_allclose(gradient, softmax(z) - target, rtol=1e-12, atol=1e-15)
    assert value == pytest.approx(-np.sum(target * np.log(softmax(z))), rel=1e-13)


def test_of_equal_logits_the_first_is_the_guess(lib):
    z = lib.array(np.array([[1.0, 3.0, 3.0]]))
    sides = [
        float(hard_bootstrapping_loss(z, lib.array([0]), label_weight=0.5, logit_bias=lib.array(b)))
        for b in ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    ]
    assert sides[0] == pytest.approx(sides[1] - 0.5, rel=1e-13)


def test_a_guess_of_the_ignored_label_does_not_drop_its_row(lib):
    z, y = np.array([[4.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), np.array([1, 0])
    losses = lib.numpy(hard_bootstrapping_loss(lib.array(z), lib.array(y), ignore_index=0, reduction="none"))
    log_p = np.log(softmax(z[0]))
    np.testing.assert_allclose(losses, [-0.8 * log_p[1] - 0.2 * log_p[0], 0], rtol=1e-13)
    mean = hard_bootstrapping_loss(lib.array(z), lib.array(y), ignore_index=0, normalizer="count")
    assert float(mean) == pytest.approx(losses[0], rel=1e-14)


@pytest.mark.parametrize("loss", BOOTSTRAPPED)
def test_ignored_rows_of_a_bootstrapped_loss_may_hold_anything(autodiff, loss):
    z, y = rows(4)
    y[1], z[1] = -100, np.nan
    kept = loss(z[[0, 2, 3]], y[[0, 2, 3]])
    found = loss(autodiff.array(z), autodiff.array(y), ignore_index=-100)
    assert float(found) == pytest.approx(float(kept), rel=1e-13)
    gradient = autodiff.gradient(lambda z: loss(z, autodiff.array(y), ignore_index=-100), z)
    assert (gradient[1] == 0).all()
    assert np.isfinite(gradient).all()


def test_soft_bootstrapping_minimizes_the_entropy_unless_it_is_held():
    """β(p − e_y) − (1 − β) p (log p + H), and β(p − e_y) if the target is held."""
    torch = pytest.importorskip("torch")
    z, y = rows()
    p = softmax(z)
    H = -np.sum(p * np.log(p), axis=1, keepdims=True)
    hard = 0.6 * (p - np.eye(4)[y])
    for detach, slope in [(False, hard - 0.4 * p * (np.log(p) + H)), (True, hard)]:
        x = torch.from_numpy(z.copy()).requires_grad_()
        loss = soft_bootstrapping_loss(
            x, torch.from_numpy(y), label_weight=0.6, detach=detach, reduction="sum"
        )
        truth = np.sum(-0.6 * np.log(p[np.arange(6), y]) + 0.4 * H[:, 0])
        assert loss.item() == pytest.approx(truth, rel=1e-13)
        np.testing.assert_allclose(torch.autograd.grad(loss, x)[0], slope, rtol=1e-12, atol=1e-15)
    _, gradient = ce.loss_and_gradient(soft_bootstrapping_loss, z, y, label_weight=0.6, reduction="sum")
    np.testing.assert_allclose(gradient, hard - 0.4 * p * (np.log(p) + H), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("detach", HELD)
def test_a_mean_of_soft_bootstrapping_divides_by_the_weights_of_the_labels(lib, detach):
    """Not by their shares: the mean would be 1/β times too large."""
    z, y = rows()
    w, omega = np.array([1.0, 2.0, 0.5, 3.0]), np.linspace(0.5, 2, 6)
    p = softmax(z)
    H = -np.sum(p * np.log(p), axis=1)
    losses = omega * (-w[y] * 0.7 * np.log(p[np.arange(6), y]) + 0.3 * H)
    options = {
        "class_weight": lib.array(w),
        "sample_weight": lib.array(omega),
        "label_weight": 0.7,
        "detach": detach,
    }
    found = soft_bootstrapping_loss(lib.array(z), lib.array(y), **options)
    assert float(found) == pytest.approx(losses.sum() / np.sum(omega * w[y]), rel=1e-13)


@pytest.mark.parametrize("detach", HELD)
def test_an_impossible_label_costs_soft_bootstrapping_inf(lib, detach):
    z = lib.array(np.array([[0.0, -np.inf, 1.0]]))
    assert float(soft_bootstrapping_loss(z, lib.array([1]), detach=detach)) == np.inf


def _arrays_of(lib):
    T = np.array([[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.3, 0.1, 0.6]])
    z, y = np.random.default_rng(4).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    if lib == "numpy":
        return z, y, T
    torch = pytest.importorskip("torch")
    return torch.tensor(z), torch.tensor(y), torch.tensor(T)


def _backward_truth(z, y, T):
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -(np.linalg.inv(T)[y] * log_p).sum(1)


@pytest.mark.parametrize("lib", ["numpy", "torch"])
def test_an_inverse_is_kept_while_its_matrix_keeps_its_values(lib, monkeypatch):
    found = []
    inverted = inverses.inverted
    monkeypatch.setattr(inverses, "inverted", lambda T: found.append(T) or inverted(T))
    z, y, T = _arrays_of(lib)

    def check():
        losses = backward_corrected_loss(z, y, T, reduction="none")
        np.testing.assert_allclose(losses, _backward_truth(*map(np.asarray, (z, y, T))), rtol=1e-12)

    check()
    check()
    assert len(found) == 1
    T[0, 0], T[0, 1] = 0.6, 0.4
    check()
    assert len(found) == 2
    T[[0, 1]] = T[[1, 0]]  # the same numbers elsewhere
    check()
    assert len(found) == 3
    if lib == "torch":
        import torch

        T.copy_(torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.7, 0.2], [0.0, 0.1, 0.9]]))
        loss = lambda z: backward_corrected_loss(z, y, T)  # noqa: E731
        first, again = torch.func.grad(loss)(z), torch.func.grad(loss)(z)
        x = z.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(x), x)
        assert len(found) == 4
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(again, expected)
    T[0, 0] = 0.5
    with pytest.raises(ValueError, match="do not sum to 1"):
        check()


def test_an_inverse_goes_with_its_matrix():
    z, y, T = _arrays_of("numpy")
    backward_corrected_loss(z, y, T)
    key = id(T)
    assert any(place == key for place, *_ in inverses.SEEN)
    del T
    gc.collect()
    assert not any(place == key for place, *_ in inverses.SEEN)


def test_the_inverse_of_a_matrix_that_learns_is_differentiated():
    torch = pytest.importorskip("torch")
    z, y, T = _arrays_of("torch")
    backward_corrected_loss(z, y, T)  # kept while it does not learn
    T.requires_grad_()
    backward_corrected_loss(z, y, T).backward()
    assert T.grad.abs().max() > 0
    slope = torch.func.grad(lambda T: backward_corrected_loss(z, y, T))(T.detach())
    np.testing.assert_allclose(slope, T.grad, rtol=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_weights_and_ignored_rows_of_a_backward_correction(label_smoothing):
    torch = pytest.importorskip("torch")
    z, y, T = _arrays_of("torch")
    y[1], weights = -1, torch.tensor([1.0, 2.0, 0.0, 3.0, 0.5], dtype=torch.float64)
    z.requires_grad_()
    options = {"sample_weight": weights, "ignore_index": -1, "label_smoothing": label_smoothing}
    loss = backward_corrected_loss(z, y, T, **options)
    (slope,) = torch.autograd.grad(loss, z)
    x = z.detach().requires_grad_()
    masses = (1 - label_smoothing) * torch.linalg.inv(T)[y.clamp(min=0)] + label_smoothing / 3
    own = weights * (y >= 0)
    expected = -((masses * torch.log_softmax(x, -1)).sum(1) * own).sum() / own.sum()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-13)
    np.testing.assert_allclose(slope, torch.autograd.grad(expected, x)[0], rtol=1e-11, atol=1e-16)
