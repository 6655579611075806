"""Sums of exponentials as pairs (top, rest): ``ln Σ e^u = top + ln(1 + rest)``, the largest term kept out of `rest`.

This makes a confident row exact: rest = 1e-9 has all its digits, which 1 + 1e-9 would lose. Tops are in the units of
the entries, before the scale; rests and moments are after it. A block of classes is summed in the dtype of its entries,
blocks are added in float64.
"""

import triton
import triton.language as tl

from crossentropy._kernels.triton.arithmetic import LOG2E, finite_or_zero


@triton.jit
def add_terms(u, scale, top, rest, moment, MOMENT: tl.constexpr):
    """Add ``e^(scale·u)`` over a block's classes to (top, rest, moment) of each row; −∞ adds 0, NaN gives NaN.

    Entries equal to the top are counted, not summed, so that their number minus one is exact. ``moment = Σ e^d d``
    over the others, with ``d = scale·(u − top)``.
    """
    held = top.to(u.dtype)
    best = tl.max(u, axis=1)
    high = tl.where(best > held, best, held)
    y = (u - finite_or_zero(high)[:, None]) * (scale * LOG2E).to(u.dtype)[:, None]
    e = tl.exp2(y)
    below = tl.sum(tl.where(u == high[:, None], 0.0, e), axis=1)
    # Every entry at the top adds 1 to the whole sum, whose rounding error is far below one half.
    ties = tl.floor(tl.sum(e, axis=1) - below + 0.5) - tl.where(best > held, 1.0, 0.0)

    to = high.to(tl.float64)
    stays = (top == float("-inf")) | (top == to)
    drop = tl.where(stays, 0.0, (top - to) * scale)
    weight = tl.exp(drop)
    if MOMENT:
        added = tl.sum(tl.where(e == 0.0, 0.0, e * y), axis=1).to(tl.float64) / LOG2E
        moment = tl.where(stays, moment, weight * (moment + drop * (1.0 + rest))) + added
    rest = tl.where(stays, rest, weight * (1.0 + rest))
    rest += below.to(tl.float64) + ties.to(tl.float64)
    return to, rest, moment


@triton.jit
def merged(top, rest, moment, other_top, other_rest, other_moment):
    """Add two sums after the scale: the higher top remains, and the other sum is expressed relative to it."""
    higher = other_top > top
    high, low = tl.where(higher, other_top, top), tl.where(higher, top, other_top)
    rest_high, rest_low = tl.where(higher, other_rest, rest), tl.where(higher, rest, other_rest)
    moment_high = tl.where(higher, other_moment, moment)
    moment_low = tl.where(higher, moment, other_moment)
    empty = low == float("-inf")
    drop = tl.where(empty, 0.0, low - high)
    # an empty sum adds 0, or NaN if its rest or moment is NaN
    weight = tl.where(empty, 0.0, tl.exp(drop))
    rest = rest_high + weight * (1.0 + rest_low)
    return high, rest, moment_high + weight * (moment_low + drop * (1.0 + rest_low))


@triton.jit
def add_depths(u, weights, top, depth, mass, base):
    """Add a block's ``Σ w (top − u)`` and ``Σ w``; `top` is each row's running top, `base` the one before it."""
    to = finite_or_zero(top)
    depth += tl.where(mass == 0.0, 0.0, mass * (to - base))
    terms = weights * (to.to(u.dtype)[:, None] - u)
    depth += tl.sum(tl.where(weights == 0.0, 0.0, terms), axis=1).to(tl.float64)
    return depth, mass + tl.sum(weights + tl.zeros_like(u), axis=1).to(tl.float64), to


@triton.jit
def depth_below_partition(depth, mass, top, partition, scale):
    """Compute ``Σ w (L − u)`` from the depths ``Σ w (top − u)`` and the step from the top to the log-partition."""
    reached = tl.where(top == float("-inf"), 0.0, top)
    return depth * scale + tl.where(mass == 0.0, 0.0, mass * (partition - reached))
