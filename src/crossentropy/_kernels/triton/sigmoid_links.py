"""Links of the sigmoid family: the loss of an element, and its derivative with respect to the logit."""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import log1p_nonnegative


@triton.jit
def _log1p_unit(x):
    """Compute ln(1 + x) for x in [0, 1], as 2 atanh(x/(2 + x))."""
    if x.dtype == tl.float64:
        return log1p_nonnegative(x)
    twice = (2 * x) / (2 + x)  # exact for a subnormal x, whose half might lose a digit
    s = 0.25 * twice * twice
    q = 0.1161216461 * s + 0.108532879
    q = q * s + 0.14296179
    q = q * s + 0.1999985317
    q = q * s + 0.3333333366
    return twice + twice * s * q


@triton.jit
def _focal(gamma, p, miss, minus_log_p, minus_log_miss, largest):
    """Compute the focal φ and −dφ/d(log-odds) = (1 − p)^γ ((1 − p) + γ p (−log p)), p of the right answer.

    Infinities are clipped to the largest number, for they could be multiplied by 0.
    """
    focus = tl.exp(-gamma * tl.minimum(minus_log_miss, largest))
    return focus * minus_log_p, focus * (miss + gamma * p * tl.minimum(minus_log_p, largest))


@triton.jit
def _log1p_quotient(a, b):
    """Compute ln(1 + a/b) for a ≤ 1, where a/b may overflow."""
    small = b < 1e-290
    scale = tl.where(small, 18446744073709551616.0, 1.0)  # 2^64
    return log1p_nonnegative(a / (b * scale)) + small.to(tl.float64) * 44.36141955583650


@triton.jit
def terms(z, positive_gamma, negative_gamma, shift, FOCAL: tl.constexpr, SHIFTED: tl.constexpr):
    """Compute φ₊ and φ₋, and their derivatives with respect to the logit."""
    e = tl.exp(-tl.abs(z))
    ln = _log1p_unit(e)
    up = z > 0
    large = 1 / (1 + e)
    small = e * large
    p = tl.where(up, large, small)
    miss = tl.where(up, small, large)
    minus_log_p = tl.where(up, 0.0, -z) + ln
    minus_log_miss = tl.where(up, z, 0.0) + ln
    positive, positive_slope = minus_log_p, -miss
    negative, negative_slope = minus_log_miss, p
    if FOCAL:
        largest = tl.full(
            (), 1.7976931348623157e308 if z.dtype == tl.float64 else 3.4028234663852886e38, z.dtype
        )
        positive, positive_slope = _focal(positive_gamma, p, miss, minus_log_p, minus_log_miss, largest)
        positive_slope = -positive_slope
        negative, negative_slope = _focal(negative_gamma, miss, p, minus_log_miss, minus_log_p, largest)
    if SHIFTED:
        # φ₋ = p_m^γ (−log(1 − p_m)) and dφ₋/dz = p p_m^γ ((1 − p)/(1 − p_m) + γ (1 − p) (−log(1 − p_m))/p_m). Where m
        # is subnormal, so may be p_m and 1 − p_m, and their inverses infinite: neither inverse is formed alone.
        counts = (p - shift <= 0) == 0  # true for NaN as well
        shifted = tl.where(counts, p - shift, 1.0)
        rest = miss + shift
        minus_log = _log1p_quotient(shifted, rest)
        focus = tl.exp(-negative_gamma * _log1p_quotient(rest, shifted))
        negative = tl.where(counts, focus * minus_log, 0.0)
        slope = p * focus * (miss / rest + negative_gamma * miss * (minus_log / shifted))
        negative_slope = tl.where(counts, slope, 0.0)
    return positive, negative, positive_slope, negative_slope
