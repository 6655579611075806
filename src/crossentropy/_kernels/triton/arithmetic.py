"""Logarithms, exponentials and a tanh that keep the digits of small arguments, as Triton's own do not.

They use only operations that exist both on the device and in Triton's interpreter. Numbers per row are in float64,
entries of the logits in the dtype of the arithmetic.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def log1p_nonnegative(x):
    """Compute ``ln(1 + x)`` for x ≥ 0 in float64; the last term restores what rounding ``1 + x`` dropped."""
    w = 1.0 + x
    return tl.log(w) + (x - (w - 1.0)) / w


@triton.jit
def softplus(x):
    """Compute ``ln(1 + e^x)`` in float64."""
    return tl.where(x > 0, x, 0.0) + log1p_nonnegative(tl.exp(-tl.abs(x)))


@triton.jit
def sigmoid(x):
    """Compute ``1/(1 + e^(−x))`` in float64."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x > 0, 1.0, e) / (1.0 + e)


@triton.jit
def finite_or_zero(top):
    """Replace infinite tops by 0, so that subtracting the top before an exponential never gives ∞ − ∞."""
    return tl.where(tl.abs(top) == float("inf"), 0.0, top)


@triton.jit
def exp2_or_deep(y):
    """Compute ``2^y`` for y ≤ 0, or ``2^(y + 64)`` where y < −100, and the mask of the latter.

    The device's exponential flushes subnormal results to 0, where a gradient still has digits.
    """
    deep = y < -100.0
    return tl.exp2(tl.where(deep, y + 64.0, y)), deep


@triton.jit
def times_exp2(factor, e, deep):
    """Compute ``2^y · factor`` from the results of `exp2_or_deep`."""
    return e * tl.where(deep, factor * 5.421010862427522e-20, factor)  # 2^−64


@triton.jit
def expm1_nonpositive(x):
    """Compute ``e^x − 1`` for x ≤ 0, to full relative precision near 0."""
    if x.dtype == tl.float64:
        # Kahan's method: the logarithm of the rounded e^x cancels its rounding error.
        w = tl.exp(x)
        near, far = w == 1.0, w < 0.5
        ratio = tl.where(near | far, 1.0, w)
        return tl.where(
            near, x, tl.where(far, w - 1.0, (w - 1.0) * x / tl.where(near | far, 1.0, tl.log(ratio)))
        )
    else:
        # e^x = 2^n (1 + p) with p = r + r² q(r), |r| ≤ ln(2)/2
        x = tl.where(x < -60.0, -60.0, x)
        n = tl.floor(x * LOG2E + 0.5)
        r = tl.fma(n, 2.12194440e-4, tl.fma(n, -0.693359375, x))  # n · 0.693359375 is exact
        q = tl.fma(r, 1.392618359e-3, 8.363179053e-3)
        q = tl.fma(r, q, 4.166655462e-2)
        q = tl.fma(r, q, 1.666657699e-1)
        q = tl.fma(r, q, 0.5)
        p = tl.fma(r * r, q, r)
        power = ((n.to(tl.int32) + 127) << 23).to(tl.float32, bitcast=True)
        return tl.fma(power, p, power - 1.0)


@triton.jit
def tanh_and_slope(x):
    """Compute ``tanh |x| = −m/(2 + m)``, ``m = e^(−2|x|) − 1``, with its sign, and ``1 − tanh² x = 4e/(1 + e)²``."""
    m = expm1_nonpositive(-2.0 * tl.abs(x))
    e = tl.exp2(tl.abs(x) * (-2.0 * LOG2E))
    magnitude = -m / (2.0 + m)
    return tl.where(x < 0, -magnitude, magnitude), 4.0 * e / ((1.0 + e) * (1.0 + e))
