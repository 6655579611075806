"""Sums of exponentials as pairs ``(top, rest)``, the maximum and the sum of the other terms relative to it."""

from typing import Any, NamedTuple

from crossentropy._backends import INF, Array, constant, device, namespace, total


class LogSum:
    """``ln Σ e^u = top + ln(1 + rest)`` along the last axis, with the first maximum kept out of `rest`.

    The identity holds for any number `top`, so `top` is a constant for differentiation. The derivative of `rest` with
    respect to each ``u`` is then the exponential of its own depth, never one minus the others.
    """

    def __init__(self, xp: Any, u: Array) -> None:
        self.xp = xp
        C = u.shape[-1]
        first = xp.argmax(xp.where(u == u, u, xp.full_like(u, -INF)), axis=-1, keepdims=True)
        is_top = xp.arange(C, device=device(u)) == first
        top = constant(xp.sum(xp.where(is_top, u, xp.zeros_like(u)), axis=-1, keepdims=True))
        self.empty = (top == -INF)[..., 0]
        self.top = xp.where(top == -INF, xp.zeros_like(top), top)
        self.is_top = is_top
        #: u − top, 0 at the top itself
        self.depth = xp.where(is_top & (top == -INF), xp.zeros_like(u), u - self.top)
        self.e = xp.exp(self.depth)
        self.rest = xp.sum(xp.where(is_top, self.e - 1, self.e), axis=-1)

    def value(self) -> Array:
        """Return the logarithm of the sum."""
        return self.top[..., 0] + self.xp.log1p(self.rest)

    def entropy(self) -> Array:
        """Compute ``ln(1 + rest) − Σ e^d d / (1 + rest)`` with ``d = u − top ≤ 0``: no term cancels another."""
        xp = self.xp
        d = xp.where(self.e == 0, xp.zeros_like(self.depth), self.depth)
        return xp.log1p(self.rest) - xp.sum(self.e * d, axis=-1) / (1 + self.rest)


class LogSumExp(NamedTuple):
    """``ln Σ e^(scale·u) = scale·top + ln(1 + rest)``, the largest ``u`` kept out of `rest`; ``(−∞, 0)`` is empty."""

    top: Array
    rest: Array

    def value(self) -> Array:
        """Return the logarithm of the sum, for a scale of 1."""
        return self.top + namespace(self.rest).log1p(self.rest)


def logaddexp(a: LogSumExp, b: LogSumExp, scale: Any = 1.0) -> LogSumExp:
    """Add two sums of exponentials, as `logaddexp` does."""
    xp = namespace(a.top)
    swap = b.top > a.top
    top, low = xp.where(swap, b.top, a.top), xp.where(swap, a.top, b.top)
    rest, more = xp.where(swap, b.rest, a.rest), xp.where(swap, a.rest, b.rest)
    empty = low == -INF
    depth = xp.where(empty, low, (xp.where(empty, xp.zeros_like(low), low) - top) * scale)
    return LogSumExp(top, rest + xp.exp(depth) * (1 + more))


def log1p_sum_exp(u: Array, axis: int) -> Array:
    """``ln(1 + Σ e^u)`` along `axis`, with all its digits where every ``u`` is far below 0 as well.

    It is ``m + ln(e^−m + Σ e^(u − m))`` for any number ``m``, so that ``m = max(0, u)`` is a constant for
    differentiation; where that is 0, the logarithm is `log1p`'s.
    """
    xp = namespace(u)
    top = constant(xp.max(u, axis=axis, keepdims=True))
    top = xp.where((top > 0) & (top < INF), top, xp.zeros_like(top))
    rest = total(xp.exp(u - top), axis)
    m = xp.astype(xp.squeeze(top, axis=axis), rest.dtype, copy=False)
    return m + xp.where(m > 0, xp.log(xp.exp(-m) + rest), xp.log1p(rest))


def finite_or_zero(top: Array) -> Array:
    """Replace infinite tops by 0, so that subtracting the top before an exponential never gives ∞ − ∞."""
    xp = namespace(top)
    return xp.where(xp.abs(top) == INF, xp.zeros_like(top), top)
