"""Cosines of float64 features and their derivatives, as if computed with more digits and rounded.

A cosine is multiplied by as much as 100 before its exponential, and a gradient is what is left of ``h = Σ_j g_j ŷ_j``
when its part along ``x`` is taken off, often a small rest. One rounding before that costs several of the last digits
after it. So the unit vectors are pairs here, a number and what its rounding lost, and so are products of matrices: the
leading bits of both factors are multiplied exactly, and the rest, 2⁻¹⁴ as large, by two products more.
"""

from typing import NamedTuple

from crossentropy._backends import Array, constant, namespace
from crossentropy._statistics.products import product
from crossentropy._statistics.rounding import times

BITS = 39  # of a factor that are cut off: the other 14 make exact products, and exact sums of 2²¹ of them


class Pair(NamedTuple):
    """A number that is the sum of two: the first is nearly all of it."""

    large: Array
    small: Array


def cosines(x: Array, y: Array) -> Array:
    """``x_i · y_j / (|x_i| |y_j|)`` of the rows of `x` (N, d) and `y` (M, d); 0 for a zero vector."""
    (unit_x, _), (unit_y, _) = _units(x), _units(y)
    large, small = _product(unit_x, Pair(*map(_transposed, unit_y)))
    return large + small


def plain(x: Array, y: Array) -> Array:
    """The cosines with one rounding at each step."""
    (unit_x, _), (unit_y, _) = _plain_units(x), _plain_units(y)
    return product(unit_x, _transposed(unit_y))


def tangents(x: Array, y: Array, dx: Array, dy: Array) -> Array:
    """The derivative of the cosines along ``(dx, dy)``."""
    (unit_x, norm_x), (unit_y, norm_y) = _plain_units(x), _plain_units(y)
    along_x, along_y = _across(dx, unit_x) / norm_x, _across(dy, unit_y) / norm_y
    return product(along_x, _transposed(unit_y)) + product(unit_x, _transposed(along_y))


def pulled_back(x: Array, y: Array, g: Array) -> Array:
    r"""The gradient by `x` of ``Σ g · cosines(x, y)``.

    .. math:: \frac{h - \hat x (\hat x \cdot h)}{|x|}, \qquad h = \sum_j g_j \hat y_j
    """
    xp = namespace(x, y, g)
    (unit, norm), (others, _) = _units(x), _units(y)
    large, small = _product(Pair(g, xp.zeros_like(g[..., :1])), others)
    share = xp.sum(unit.large * (large + small), axis=-1, keepdims=True)
    part, lost = times(unit.large, share)
    # What the rounded share leaves along x is taken off again.
    return _across((large - part) + (small - lost - share * unit.small), unit.large) / norm


def _across(h: Array, unit: Array) -> Array:
    """What is left of `h` without its part along a unit vector."""
    return h - unit * namespace(h, unit).sum(unit * h, axis=-1, keepdims=True)


def _plain_units(x: Array) -> tuple[Array, Array]:
    """``x/|x|`` and ``|x|``, (N, 1), of every row; a zero vector has the norm 1."""
    xp = namespace(x)
    square = xp.sum(x * x, axis=-1, keepdims=True)
    norm = xp.sqrt(xp.where(square == 0, xp.ones_like(square), square))
    return x / norm, norm


def _units(x: Array) -> tuple[Pair, Array]:
    """The same, with what the rounding of the unit vectors lost."""
    xp = namespace(x)
    head = _head(x, -1)
    top, rest = (xp.sum(s, axis=-1, keepdims=True) for s in (head * head, (x - head) * (x + head)))
    top = xp.where(top + rest == 0, xp.ones_like(top), top)
    norm = xp.sqrt(top + rest)
    square, lost = times(norm, norm)
    too_small = ((top - square) + (rest - lost)) / (2 * square)  # the norm, as a part of it
    unit = x / norm
    back, lost = times(unit, norm)
    return Pair(unit, ((x - back) - lost) / norm - unit * too_small), norm


def _product(x: Pair, y: Pair) -> Pair:
    """The product of two matrices: that of their leading bits, which is exact, and what is left."""
    head_x, head_y = _head(x.large, -1), _head(y.large, -2)
    rest_x, rest_y = (x.large - head_x) + x.small, (y.large - head_y) + y.small
    return Pair(product(head_x, head_y), product(head_x, rest_y) + product(rest_x, y.large))


def _head(x: Array, axis: int) -> Array:
    """`x` rounded to multiples of one number along an axis, so few that their products and sums are exact."""
    xp = namespace(x)
    grid = constant(xp.max(xp.abs(x), axis=axis, keepdims=True)) * 2.0**BITS
    return (x + grid) - grid


def _transposed(x: Array) -> Array:
    return namespace(x).matrix_transpose(x)
