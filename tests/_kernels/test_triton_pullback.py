"""The backward row kernel in Triton: the native kernel's gradients, and an oracle's to their last digits."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

import oracle_rows  # noqa: E402
import ulps  # noqa: E402
from crossentropy._statistics import PLAIN, Cotangents, Target, row_statistics  # noqa: E402
from crossentropy._statistics.cuda import kernel as cuda_kernel  # noqa: E402
from crossentropy._statistics.problem import DIFFERENTIABLE, NONE_REQUESTED  # noqa: E402
from crossentropy._statistics.torch import kernels  # noqa: E402
from row_problems import FORMS, as_function, each_form_and_transform, make, narrowed, tensors  # noqa: E402
from sampling import full, sampled  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("triton_rows"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

native = kernels.row_kernel  # before a test puts Triton's in its place
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


@contextmanager
def native_kernels():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "row_kernel", native)
        yield


def gradients(problem, dtype, device):
    """By every input, of statistics that each have an upstream gradient of their own in every row."""
    statistics, (logits, *others) = as_function(problem, device=device)
    logits = logits.detach().to(getattr(torch, dtype)).requires_grad_()
    loss = 0.0
    for i, plane in enumerate(statistics(logits, *others)):
        g = torch.linspace(-1, 2, plane.numel(), dtype=torch.float64, device=device)
        loss = loss + (g.reshape(plane.shape).roll(i) * plane).sum()
    return [x.double().cpu() for x in torch.autograd.grad(loss, (logits, *others))]


def verify(form, transform, prior, rows, classes, dtype, device):
    problem = narrowed(make(form, transform, prior, rows, classes))
    found = gradients(problem, dtype, device)
    with native_kernels():
        expected = gradients(problem, dtype, "cpu")
    reach = np.abs(problem.logits).max() * 8 * (1 if transform == "plain" else 1 / 0.3)
    wide = min(UNITS[dtype], 2.0**-24)
    stored = (
        2 * UNITS[dtype] if dtype in ("bfloat16", "float16") else 0.0
    )  # the interpreter truncates to bfloat16
    for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        size = theirs.abs().amax() if i else 0.0  # the others are sums over rows or classes
        limit = wide * reach * (2 + size) * (1 if i == 0 else classes) + (
            stored * theirs.abs() if i == 0 else 0
        )
        assert ((ours - theirs).abs() <= limit).all(), f"input {i}: {(ours - theirs).abs().max():.3g} off"


@each_form_and_transform
def test_gradients_are_the_native_kernels(device, form, transform):
    verify(form, transform, "vector", 6, 5, "float32", device)
    verify(form, transform, "uniform", 6, 5, "float64", device)


@sampled({"form": FORMS, "dtype": ["bfloat16", "float16"]})
def test_gradients_of_halves_are_the_native_kernels_up_to_their_rounding(device, dtype, form):
    verify(form, "all", "vector", 6, 5, dtype, device)


@sampled({"classes": [*full((1, 8)), 9, 17], "form": FORMS})
def test_gradients_are_the_same_however_many_blocks_a_row_takes(device, monkeypatch, form, classes):
    from crossentropy._kernels.triton import launch

    monkeypatch.setattr(launch, "MOST_BYTES", 32)
    monkeypatch.setattr(launch, "FEW_ENTRIES", 16)
    verify(form, "all", "vector", 5, classes, "float32", device)


@pytest.mark.parametrize("form", FORMS)
def test_one_statistic_alone_has_its_gradient(device, form):
    """Upstream gradients that are not there are 0, and what only they need is left out of the kernel."""
    problem = make(form, "plain", "vector", 4, 5)
    for name in DIFFERENTIABLE:
        found = []
        for row_kernel, where in ((kernels.row_kernel, device), (native, "cpu")):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kernels, "row_kernel", row_kernel)
                z = torch.tensor(problem.logits, device=where, requires_grad=True)
                own = (tensors(x, device=where) for x in (problem.target, problem.transform, problem.prior))
                plane = getattr(row_statistics(z, 1, *own, problem.requested), name)
                if plane is not None:
                    plane = torch.where(torch.isfinite(plane), plane, 0.0)
                    found.append(torch.autograd.grad((plane**2).sum(), z)[0].cpu())
        if found:
            torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12, msg=name)


def label_gradient(z, labels, device):
    z = torch.from_numpy(z).to(device).requires_grad_()
    D = row_statistics(z, 1, Target(torch.as_tensor(labels, device=device))).log_odds
    (gradient,) = torch.autograd.grad(torch.logaddexp(D, torch.zeros_like(D)).sum(), z)
    return gradient.cpu().numpy()


@sampled({"peak": [0.0, 20.0, 60.0, 1e6], "dtype": ["float32", "float64"]})
def test_gradients_keep_their_digits(device, dtype, peak):
    """Within 4·max(1, |D|, |log p|) ulp of sixty digits: the label's entry is formed of 1 − p, not of p less 1."""
    z = np.random.default_rng(0).normal(size=(2, 40)).astype(dtype) * 3
    z[:, 7] += peak
    labels = np.array([7, 11])
    for gradient, row, label in zip(label_gradient(z, labels, device), z, labels, strict=True):
        truth = oracle_rows.index_row(row, label)
        high, low = (part[truth.which] for part in ulps.split(truth.slopes))
        high[label], low[label] = (part[0] for part in ulps.split([truth.target_slope]))
        largest = 110.0 if dtype == "float32" else 750.0
        odds = abs(float(truth.log_odds_against))
        digits = 4 * np.maximum(1.0, np.minimum(np.maximum(odds, np.abs(truth.log_p)), largest))
        assert (np.abs(ulps.difference(gradient, high, low)) <= ulps.allowed(digits, high, dtype)).all()


def test_gradients_below_the_normal_numbers_are_not_flushed_to_zero(device):
    """The device's exponential does that, so it is worked out times a power of two so far down."""
    z = np.array([[0.0, -80.0, -88.0, -95.0, -100.0, -103.0, -110.0]], dtype=np.float32)
    gradient = label_gradient(z, [1], device)[0, 2:]
    truth = np.exp(z[0, 2:].astype(np.float64))
    assert (gradient[:4] > 0).all()
    assert (np.abs(gradient - truth) <= 1.5e-45 + 2e-5 * truth).all()


# ---- where the gradient is written ---------------------------------------------------------------------------


def pulled(z, labels, by_target=False, upstream=None, **where):
    kernel = cuda_kernel.RowKernel(z, 1, labels, PLAIN, None)
    stats = kernel.statistics(labels, (len(z),), NONE_REQUESTED)
    g = torch.tensor(upstream or [1.0] * len(z), dtype=torch.float64, device=z.device)
    return kernel.pullback(stats, Cotangents(log_odds=g), (len(z),), target=by_target, **where)


@pytest.mark.parametrize("classes", [5, 40])
def test_the_gradient_may_take_the_place_of_the_logits_if_it_is_told_to(device, blocks, classes):
    z = torch.randn(5, classes, generator=torch.Generator().manual_seed(0)).to(device)
    target = Target(torch.arange(5, device=device))
    before = z.clone()
    expected = pulled(z, target).logits
    assert torch.equal(z, before), "inputs are not written to unless it is asked for"
    assert pulled(z, target, into=z).logits is z
    assert torch.equal(z, expected)


def test_rows_that_count_for_nothing_are_written_all_the_same(device, blocks):
    """Memory that was never written holds anything; a kernel that returns early leaves it so."""
    z = torch.zeros(3, 20, device=device)
    target = Target(torch.tensor([4, -100, 7], device=device), ignore_index=-100)
    into = torch.full_like(z, float("nan"))
    pulled(z, target, into=into)
    assert (into[1] == 0).all()
    assert torch.isfinite(into).all()


def test_an_ignored_row_has_no_gradient_whatever_comes_from_above(device, blocks):
    z = torch.zeros(2, 20, device=device)
    target = Target(torch.tensor([4, -100], device=device), ignore_index=-100)
    found = pulled(z, target, upstream=[1.0, float("nan")]).logits
    assert torch.isfinite(found[0]).all()
    assert (found[1] == 0).all()


def test_gradients_by_the_targets_and_the_temperature_of_rows_left_out_are_zero(device):
    z = torch.full((2, 4), float("nan"), device=device)
    target = Target(torch.tensor([9, 9], device=device), ignore_index=9)
    found = pulled(z, target, scale=True, by_target=True)
    assert found.scale.tolist() == [0.0, 0.0]
    assert found.target.tolist() == [[0.0], [0.0]]
