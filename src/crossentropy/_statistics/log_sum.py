"""Sums of exponentials as pairs (maximum, ln of the rest), and how they are added."""

from typing import Any, NamedTuple

from crossentropy._backends import INF, Array, constant, device, namespace


class LogSum:
    """``ln Σ e^u = top + ln(1 + rest)`` along the last axis, with the first of the largest kept out of `rest`.

    The identity holds for any number `top`, so that it is a constant to derivatives: that of `rest` by the largest
    term is then 1, and each has its own exponential for a derivative, not what the others' leave over.
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
        #: u − top: 0 at the top itself
        self.depth = xp.where(is_top & (top == -INF), xp.zeros_like(u), u - self.top)
        self.e = xp.exp(self.depth)
        self.rest = xp.sum(xp.where(is_top, self.e - 1, self.e), axis=-1)

    def value(self) -> Array:
        """The logarithm of the sum."""
        return self.top[..., 0] + self.xp.log1p(self.rest)

    def entropy(self) -> Array:
        """``ln(1 + rest) − Σ e^d d / (1 + rest)`` with ``d = u − top``, every term of one sign."""
        xp = self.xp
        d = xp.where(self.e == 0, xp.zeros_like(self.depth), self.depth)
        return xp.log1p(self.rest) - xp.sum(self.e * d, axis=-1) / (1 + self.rest)


class Sum(NamedTuple):
    """``ln Σ e^(scale·u) = scale·top + ln(1 + rest)``, the largest ``u`` kept out of `rest`; ``(−∞, 0)`` is empty."""

    top: Array
    rest: Array

    def value(self) -> Array:
        """The logarithm, of a sum with no scale pending."""
        return self.top + namespace(self.rest).log1p(self.rest)


def joined(a: Sum, b: Sum, scale: Any = 1.0) -> Sum:
    """Both sums as one."""
    xp = namespace(a.top)
    swap = b.top > a.top
    top, low = xp.where(swap, b.top, a.top), xp.where(swap, a.top, b.top)
    rest, more = xp.where(swap, b.rest, a.rest), xp.where(swap, a.rest, b.rest)
    empty = low == -INF
    depth = xp.where(empty, low, (xp.where(empty, xp.zeros_like(low), low) - top) * scale)
    return Sum(top, rest + xp.exp(depth) * (1 + more))


def finite(top: Array) -> Array:
    """What is taken off before an exponential: an empty or infinite sum has no finite top to take."""
    xp = namespace(top)
    return xp.where(xp.abs(top) == INF, xp.zeros_like(top), top)
