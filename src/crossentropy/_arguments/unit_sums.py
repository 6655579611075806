"""Checks that distributions sum to one, within the precision that their numbers show.

The tolerance is that of the dtype. Only if a sum misses it, the numbers are examined for earlier rounding:

- Numbers that fit into fewer bits have been rounded to them: a float32 softmax widened to float64 is judged as float32.
- Decimal numbers are each off by up to half a unit of their last place, so that C of them with d decimals may miss 1
  by ``C · 10⁻ᵈ / 2``. The decimals are counted over all numbers together: 0.5 beside 0.3333 has four.

Accepted distributions are used as they are; nothing is divided by the sum.
"""

import math
from collections.abc import Callable, Iterable, Iterator

from crossentropy._backends import Array, constant, namespace, total, widest_dtype
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._backends.dtypes import sum_tolerance

DTYPES = {
    8: ("bfloat16", 3e-3),
    11: ("float16", 1e-3),
    24: ("float32", 1e-5),
}  # name, tolerance by significant bits
DECIMALS = range(2, 9)
DIGITS = range(2, 10)  # nine significant digits tell any two float32 numbers apart
BLOCK = 1 << 16


def find_misfit(
    x: Array, sums: Array, *, counted: Array | None = None, in_logs: bool = False
) -> tuple[tuple[int, ...], str] | None:
    """Find the first distribution whose sum is not one.

    Parameters
    ----------
    x : array (..., C)
        Probabilities, or their logarithms.
    sums : array (...)
        Sums of the probabilities; NaN is never one.
    counted : array (...) of bool, optional
        Mask of the distributions to check; the others may hold anything.
    in_logs : bool
        Whether `x` holds logarithms.

    Returns
    -------
    (index, text) or None
        Its index and the fault: "sums to 1.5, not to 1 within 1e-09 (float64)". None if there is none, or if values
        cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.asarray([[0.33, 0.33, 0.33], [0.5, 0.25, 0.2]])
    >>> find_misfit(p, p.sum(axis=1))
    ((1,), 'sums to 0.95, not to 1 within 0.015 (2 decimals)')
    """
    xp = namespace(x)
    tolerance, origin = sum_tolerance(x), str(x.dtype).rpartition(".")[2]
    wrong = ~(xp.abs(sums - 1) <= tolerance)
    wrong = wrong if counted is None else wrong & counted
    if not is_true(xp.any(wrong)):
        return None
    shape, rows = tuple(wrong.shape), _Rows(x, counted)
    wrong, sums = xp.reshape(wrong, (-1,)), xp.reshape(constant(sums), (-1,))
    bits = rows.first(DTYPES, _have_bits)
    if bits is not None:
        tolerance, origin = _rounding(bits, rows.classes, in_logs), DTYPES[bits][0]
        wrong = wrong & ~(xp.abs(sums - 1) <= tolerance)
    slack = _rounding(24, rows.classes, in_logs)  # they may have been float32 when they were written
    for candidates, half_units, word in (
        (DECIMALS, _half_decimals, "decimals"),
        (DIGITS, _half_digits, "digits"),
    ):
        if not is_true(xp.any(wrong)):
            return None
        places = rows.places(candidates, half_units)
        if places is None:
            continue
        bounds = [_possible_sums(block, half_units(block, places), in_logs) for block in rows]
        least, most = (xp.concat(side) for side in zip(*bounds, strict=True))
        wrong = wrong & ~((least <= 1 + slack) & (most >= 1 - slack) & (sums == sums))
        room = float(xp.max(most - sums))
        if room > tolerance:
            tolerance, origin = room, f"{places} {word}"
    if not is_true(xp.any(wrong)):
        return None
    row = first_true(xp.reshape(wrong, shape))
    total = float(xp.reshape(sums, shape)[row])
    return row, f"sums to {digits_beside_one(total)}, not to 1 within {tolerance:.2g} ({origin})"


def rounding_tolerance(x: Array, classes: int) -> float:
    """Return the tolerance for sums of distributions over `classes`, by the precision to which `x` has been rounded.

    This is the dtype of `x`, or a narrower one that all its numbers fit into, as those of a float32 softmax converted
    to float64. It reads all values, so it is called only after a sum has missed `sum_tolerance`.

    >>> import numpy as np
    >>> thirds = np.full(3, 1 / 3, dtype="float32")
    >>> f"{rounding_tolerance(thirds.astype('float64'), 3):.2g}", rounding_tolerance(np.full(3, 1 / 3), 3)
    ('1e-05', 1e-09)
    """
    x = constant(x)
    is_wide = sum_tolerance(x) <= DTYPES[24][1]  # nothing is converted to half precision to be checked
    bits = next((bits for bits in DTYPES if is_wide and _have_bits(x, bits)), None)
    return sum_tolerance(x) if bits is None else _rounding(bits, classes, in_logs=False)


class _Rows:
    """Distributions in blocks of rows that fit into a cache, in the widest dtype, with unchecked rows set to 0."""

    def __init__(self, x: Array, counted: Array | None) -> None:
        xp = namespace(x)
        self.classes = int(x.shape[-1])
        self.eps = float(xp.finfo(x.dtype).eps)  # of the original dtype
        self.x = xp.reshape(constant(x), (math.prod(x.shape[:-1]), self.classes))
        self.counted = None if counted is None else xp.reshape(counted, (-1, 1))

    def __iter__(self) -> Iterator[Array]:
        xp, step = namespace(self.x), max(1, BLOCK // max(1, self.classes))
        for start in range(0, self.x.shape[0], step):
            block = self.x[start : start + step, :]
            block = xp.astype(block, widest_dtype(block), copy=False)
            if self.counted is not None:
                block = xp.where(self.counted[start : start + step, :], block, xp.zeros_like(block))
            yield block

    def first(self, candidates: Iterable[int], holds: Callable[[Array, int], bool]) -> int | None:
        """Return the first candidate that holds for all rows; one that holds for a row must imply the next."""
        rest = list(candidates)
        for block in self:
            while rest and not holds(block, rest[0]):
                rest.pop(0)
            if not rest:
                return None
        return rest[0]

    def places(self, candidates: Iterable[int], half_units: Callable[[Array, int], Array]) -> int | None:
        """Return the fewest decimal places, or digits, in which all numbers can be written."""

        def suffice(x: Array, places: int) -> bool:
            return _are_whole(x, 2 * half_units(x, places), self.eps)

        return self.first(candidates, suffice)


def _rounding(bits: int, classes: int, in_logs: bool) -> float:
    """Bound the change that rounding to so many bits makes to the sum of a distribution.

    Each entry has a relative error of ``2⁻ᵇ``; so has a logarithm, and its probability ``|ln p|`` times that, on
    average at most ``ln C`` times. A float32 sum of C numbers, by which a softmax divides, is off by C units.
    """
    error = max(DTYPES[bits][1], 2.0**-bits) + classes * 2.0**-24
    return error + math.log(max(1, classes)) * 2.0**-bits if in_logs else error


def _have_bits(x: Array, bits: int) -> bool:
    """Tell whether all numbers have at most so many significant bits (Veltkamp's splitting)."""
    xp = namespace(x)
    wide = 1 - round(math.log2(xp.finfo(x.dtype).eps))
    if wide <= bits:
        return False

    def all_have(x: Array) -> bool:
        x = xp.where(xp.isfinite(x), x, xp.zeros_like(x))
        scaled = x * (2.0 ** (wide - bits) + 1)
        return is_true(xp.all(scaled - (scaled - x) == x))

    few = x[:1, ...] if x.ndim else x  # often enough to know better
    return all_have(few) and all_have(x)


def _half_decimals(x: Array, places: int) -> Array:
    """Return half a unit of the last of so many decimal places, in the shape of `x`."""
    return namespace(x).full_like(x, 0.5 * 10.0**-places)


def _half_digits(x: Array, digits: int) -> Array:
    """Return half a unit of the last of so many significant digits of each number."""
    xp = namespace(x)
    usable = xp.isfinite(x) & (x != 0)
    leading = xp.floor(xp.log10(xp.where(usable, xp.abs(x), xp.ones_like(x))))
    return xp.where(usable, 0.5 * 10.0 ** (leading + (1 - digits)), xp.zeros_like(x))


def _are_whole(x: Array, unit: Array, eps: float) -> bool:
    """Tell whether all numbers are multiples of `unit`, up to the rounding of decimals; infinite ones pass."""
    xp = namespace(x)
    usable = xp.isfinite(x) & (unit > 0)
    x = xp.where(usable, x, xp.zeros_like(x)) / xp.where(usable, unit, xp.ones_like(unit))
    return is_true(xp.all(xp.abs(x - xp.round(x)) <= 2 * eps * xp.abs(x)))


def _possible_sums(x: Array, half: Array, in_logs: bool) -> tuple[Array, Array]:
    """Return the smallest and the largest sum of probabilities that may have been rounded to `x`, by up to `half`."""
    xp = namespace(x)
    zero = xp.zeros_like(x)
    least, most = x - half, x + half
    if in_logs:
        least, most = xp.exp(least), xp.exp(xp.where(most < 0, most, zero))
    else:
        least = xp.where(least > 0, least, zero)
    return total(least, -1), total(most, -1)


def digits_beside_one(value: float) -> str:
    """Write `value` with enough digits to show its difference from one.

    >>> digits_beside_one(1.5), digits_beside_one(1 + 3.2e-8)
    ('1.5', '1.000000032')
    """
    off = abs(value - 1)
    digits = 6 if not 0 < off < math.inf else max(6, 3 - math.floor(math.log10(off)))
    return f"{value:.{digits}g}"
