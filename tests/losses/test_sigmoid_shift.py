"""A probability taken off that of a yes, in the term of a no: its ends, and shifts too small to have an inverse."""

import numpy as np
import pytest

from crossentropy import loss_and_gradient, sigmoid_cross_entropy
from crossentropy.links import Focal, Poly
from oracle import ctx, log_sigmoid, mpf

INF = float("inf")
DIGITS = 800  # 1 − p_m has all of its own where it is 1e-310


def no(z, gamma, shift):
    """``p_m^γ (−log(1 − p_m))`` with ``p_m = max(σ(z) − m, 0)``."""
    p_m = ctx.exp(log_sigmoid(z)) - mpf(shift)
    return p_m ** mpf(gamma) * -ctx.log(1 - p_m) if p_m > 0 else mpf(0)


def slope(z, gamma, shift):
    h = mpf(10) ** -50
    return (no(z + h, gamma, shift) - no(z - h, gamma, shift)) / (2 * h)


def found(z, gamma, shift):
    """The kernel's losses and gradient of elements that are noes."""
    labels, link = np.zeros(len(z), dtype=int), Focal(gamma)
    return loss_and_gradient(
        sigmoid_cross_entropy, np.array(z), labels, negative_link=link, negative_shift=shift, reduction="none"
    )


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_a_shifted_no_stays_finite(gamma):
    losses, gradient = found([INF, 1e30], gamma, 0.05)
    np.testing.assert_allclose(losses, 0.95**gamma * -np.log(0.05), rtol=1e-12)
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.5, 4.0])
@pytest.mark.parametrize("shift", [5e-324, 1e-320, 1e-310, 1e-300])
def test_a_shift_whose_inverse_is_infinite_is_a_shift_like_any_other(shift, gamma):
    """Where a yes has no probability left, or a no has none, p_m or 1 − p_m is as small as the shift."""
    z = [-745.0, -730.0, -710.0, -100.0, -1.0, 0.0, 30.0, 700.0]
    losses, gradient = found(z, gamma, shift)
    with ctx.workdps(DIGITS):
        truth = [[float(f(mpf(x), gamma, shift)) for x in z] for f in (no, slope)]
    np.testing.assert_allclose(losses, truth[0], rtol=1e-12, atol=1e-322)
    np.testing.assert_allclose(gradient, truth[1], rtol=1e-12, atol=1e-322)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("shift", [1e-18, 1e-3, 0.05, 0.9])
def test_float32_keeps_relative_precision_next_to_the_shift_too(shift, gamma):
    """Where a yes is just likelier than the shift, the difference of the two would cancel."""
    kink = np.float32(np.log(shift) - np.log1p(-shift))
    z = np.concatenate([kink + np.float32([1e-3, 1e-2, 0.1, 1.0, 10.0]), np.float32([30.0, 90.0])])
    for values, of in zip(found(z, gamma, shift), (no, slope), strict=True):
        assert values.dtype == "float32"
        with ctx.workdps(DIGITS):
            truth = [float(of(mpf(float(x)), gamma, shift)) for x in z]
        np.testing.assert_allclose(values, truth, rtol=(8 + gamma * 15) * 2**-23, atol=2e-38)


@pytest.mark.parametrize("gamma", [0.0, 4.0])
@pytest.mark.parametrize("shift", [5e-324, 1e-310])
def test_a_certain_yes_that_is_a_no_costs_the_logarithm_of_a_shift_of_any_size(shift, gamma):
    losses, gradient = found([900.0, 1e30, INF], gamma, shift)
    np.testing.assert_allclose(losses, float(-ctx.log(mpf(shift))), rtol=1e-14)
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", [5e-324, 1e-310, 1e-44])
def test_a_link_without_a_kernel_takes_a_shift_of_any_size_too(shift, dtype):
    torch = pytest.importorskip("torch")
    values = [-1.0, 0.0, 30.0, 900.0, 1e30, INF]
    z = torch.tensor(values, dtype=getattr(torch, dtype), requires_grad=True)
    losses = sigmoid_cross_entropy(
        z, torch.zeros(6), negative_link=Poly(0.0), negative_shift=shift, reduction="none"
    )
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    with ctx.workdps(DIGITS):
        truth = [float(no(mpf(x), 0, shift)) for x in values]
        slopes = [float(slope(mpf(x), 0, shift)) for x in values[:3]] + [0.0] * 3
    digits = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(losses.detach().numpy(), truth, rtol=digits)
    np.testing.assert_allclose(gradient.numpy(), slopes, rtol=digits, atol=1e-60)
