"""Terms of entropies and divergences, and their sums."""

import functools
import math
import numbers
import operator

from crossentropy._backends import Array, namespace

# Divergences are homogeneous, D(λp, λq) = λ D(p, q). Multiplied by this, subnormal probabilities become
# normal numbers, and so do their reciprocals, which gradients contain.
SCALE = 2.0**60


def entropy_terms(p: Array) -> Array:
    """Compute ``−p ln p`` of every entry, 0 at 0."""
    xp = namespace(p)
    return -p * xp.log(xp.where(p > 0, p, xp.ones_like(p)))


def cross_entropy_terms(p: Array, q: Array) -> Array:
    """Compute ``−p ln q`` of every entry; inf where only ``q = 0``."""
    xp = namespace(p, q)
    terms = -p * xp.log(xp.where(q > 0, q, xp.ones_like(q)))
    return xp.where((p > 0) & (q == 0), xp.full_like(terms, math.inf), terms)


def divergence(p: Array, *factors: Array, difference: Array) -> Array:
    """Compute ``p ln(p/q) − p + q`` of every entry, `q` the product of `factors`, `difference` an accurate ``p − q``.

    With ``s = (p − q)/(p + q)``, so that ``ln(p/q) = 2 artanh s``, it is ``(p − q) s + 2p (artanh s − s)``:
    neither part can cancel the other. Where ``p = 0`` it is ``q``; where only ``q = 0``, inf.
    """
    xp = namespace(p, *factors)
    inside = functools.reduce(operator.and_, [x > 0 for x in (p, *factors)])
    outside = xp.where(p > 0, xp.full_like(p, math.inf), functools.reduce(operator.mul, factors))
    p, *fs = [xp.where(inside, x, xp.ones_like(x)) for x in (p, *factors)]
    difference = xp.where(inside, difference, xp.zeros_like(difference))

    s = difference / (p + functools.reduce(operator.mul, fs))
    near = xp.abs(s) < 0.25
    near_tail = _artanh_tail(xp.where(near, s, xp.zeros_like(s)))
    root = functools.reduce(operator.truediv, map(xp.sqrt, fs), xp.sqrt(p))  # √(p/q): p/q may overflow
    return xp.where(inside, difference * s + 2 * p * xp.where(near, near_tail, xp.log(root) - s), outside)


def _artanh_tail(s: Array) -> Array:
    """Compute ``artanh s − s = s³/3 + s⁵/5 + …`` to full precision for ``|s| < ¼``."""
    square, series = s * s, 0.0 * s
    for k in range(27 if bits(s) > 32 else 13, 1, -2):
        series = square * (1 / k + series)
    return s * series


def bits(x: Array) -> int:
    """Return the bits of a floating dtype."""
    return int(namespace(x).finfo(x.dtype).bits)


def exact_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Compute ``a b`` rounded, and its rounding error exactly (Dekker, Numerische Mathematik 18, 1971)."""

    def halves(x: Array) -> tuple[Array, Array]:
        """Split `x` into two numbers of half as many digits, whose products are exact."""
        shifted = (2.0 ** (27 if bits(x) > 32 else 12) + 1) * x
        high = shifted - (shifted - x)
        return high, x - high

    product = a * b
    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def unit(base: float | None) -> float:
    """Return ``log base``, what a sum in nats is divided by; 1 for None."""
    if base is None:
        return 1.0
    if not isinstance(base, numbers.Real) or not 0 < base < math.inf or base == 1:
        raise ValueError(f"base is {base!r}; pass a finite number above 0 but not 1: 2 for bits")
    return math.log(base)
