"""Sums of float64 numbers that are exact, so that neither order nor batches nor threads matter.

A sum is a Python integer, the sum times 2^1074; a sum for each of many groups is an array of limbs of 32 bits. What
fills them is native (``native/evaluation/exact_sum.hpp``).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory

__all__ = [
    "LIMBS",
    "UNIT",
    "ExactSum",
    "GroupSums",
    "Term",
    "add_poisson",
    "exact_sums",
    "scaled",
    "sums_of_limbs",
]

UNIT = 1074
LIMBS: int = _native.LIMBS
Array = np.ndarray[Any, Any]
#: An array to be summed, or two whose products are; products are exact too.
Term = Array | tuple[Array, Array]


class ExactSum(NamedTuple):
    """A sum of finite numbers, times 2^1074, and how many numbers were NaN, +∞ and −∞."""

    scaled: int = 0
    nan: int = 0
    plus: int = 0
    minus: int = 0

    def __add__(self, other: "ExactSum") -> "ExactSum":  # type: ignore[override]
        return ExactSum(
            self.scaled + other.scaled,
            self.nan + other.nan,
            self.plus + other.plus,
            self.minus + other.minus,
        )

    def __float__(self) -> float:
        if self.nan or (self.plus and self.minus):
            return float("nan")
        if self.plus or self.minus:
            return float("inf") if self.plus else float("-inf")
        try:
            return self.scaled / (1 << UNIT)  # Python rounds a quotient of integers once, correctly
        except OverflowError:
            return float("inf") if self.scaled > 0 else float("-inf")


def scaled(x: float) -> int:
    """Return a finite number times 2^1074, which is an integer.

    Examples
    --------
    >>> scaled(0.75) == 3 << (UNIT - 2)
    True
    """
    numerator, denominator = x.as_integer_ratio()
    return numerator << (UNIT + 1 - denominator.bit_length())


def _address(x: Array | None) -> int:
    return 0 if x is None else NumpyMemory.address(x)


def _columns(term: Term) -> tuple[Array, Array | None]:
    return term if isinstance(term, tuple) else (term, None)


def exact_sums(terms: Sequence[Term]) -> list[ExactSum]:
    """Sum contiguous float64 arrays of one length exactly.

    Parameters
    ----------
    terms : sequence of arrays (n,), or of pairs of them
        What to sum; of a pair, the products.
    Examples
    --------
    >>> import numpy as np
    >>> float(exact_sums([np.asarray([1e100, 1.0, -1e100])])[0])
    1.0
    """
    n = len(_columns(terms[0])[0])
    limbs = np.zeros((len(terms), LIMBS), np.int64)
    special = np.zeros((len(terms), 3), np.int64)
    pairs = [(_address(x), _address(y)) for x, y in map(_columns, terms)]
    _native.exact_sums(pairs, n, _address(limbs), _address(special))
    return sums_of_limbs(limbs, special)


def sums_of_limbs(limbs: Array, special: Array) -> list[ExactSum]:
    """Return sums that a kernel has left in limbs (m, LIMBS), and the counts (m, 3) of what was not finite."""
    return [ExactSum(_scaled(row), *counts) for row, counts in zip(limbs, special.tolist(), strict=True)]


def _scaled(limbs: Array) -> int:
    """Add up the limbs of one sum, of which all but the highest are in [0, 2^32)."""
    low = int.from_bytes(limbs[:-1].astype("<u4").tobytes(), "little")
    return low + (int(limbs[-1]) << (32 * (LIMBS - 1)))


class GroupSums:
    """An exact sum for each of a number of groups.

    Memory grows with the groups and with how far apart the numbers' exponents lie: 8 bytes for each group and each 32
    bits in between, usually 4 of them.
    """

    def __init__(self, groups: int) -> None:
        self.limbs = np.zeros((LIMBS, groups), np.int64)  # pages that are never written take no memory
        self.touched = np.zeros(LIMBS, np.uint8)
        self._since_carry = 0

    @property
    def groups(self) -> int:
        """The number of groups."""
        return int(self.limbs.shape[1])

    def add(self, term: Term, group: Array) -> None:
        """Add each number, or product, to the sum of its group (int32)."""
        x, y = _columns(term)
        self.make_room(2 * len(x))
        at = (_address(x), _address(y), _address(group))
        _native.exact_group_sums(*at, self.groups, len(x), _address(self.limbs), _address(self.touched))

    def add_counts(self, counts: Array) -> None:
        """Add integers, one for each group."""
        place, shift = divmod(UNIT, 32)
        self.make_room(1)
        self.limbs[place] += (counts << shift) & 0xFFFFFFFF
        self.limbs[place + 1] += counts >> (32 - shift)
        self.touched[place : place + 2] = 1

    def make_room(self, additions: int) -> None:
        """Carry if so many additions might not fit otherwise."""
        self._since_carry += additions
        if self._since_carry >= 1 << 30:
            self.carry()

    def carry(self) -> None:
        """Bring all limbs but the highest into [0, 2^32): the one form of these sums."""
        self._since_carry = 0
        for i in self.planes():
            if i + 1 < LIMBS:
                over = self.limbs[i] >> 32
                self.limbs[i] -= over << 32
                _carry_into(self.limbs, self.touched, i + 1, over)

    def planes(self) -> Iterable[int]:
        """Yield the limbs that are in use, from the lowest on; those that a carry reaches too."""
        i = 0
        while i < LIMBS:
            if self.touched[i]:
                yield i
            i += 1

    def add_from(self, other: "GroupSums", places: Array | None = None) -> None:
        """Add the sums of other groups: group i goes to ``places[i]``, or to i."""
        other.carry()
        self.carry()
        for i in other.planes():
            if places is None:
                self.limbs[i, : other.groups] += other.limbs[i]
            else:
                np.add.at(self.limbs[i], places, other.limbs[i, : len(places)])
            self.touched[i] = 1
        self.carry()

    def add_scaled(self, scaled: Sequence[int]) -> None:
        """Add integers as `scaled` gives them, one for each group."""
        for g, value in enumerate(scaled):
            i = 0
            while value:
                digit = value & 0xFFFFFFFF if i + 1 < LIMBS else value
                self.limbs[i, g] += digit
                self.touched[i] = 1
                value = (value - digit) >> 32
                i += 1
        self.carry()

    def scaled(self, groups: int | None = None) -> list[int]:
        """Return the sums times 2^1074 of all groups, or of the first `groups`."""
        self.carry()
        used = [*self.planes()]
        limbs = self.limbs[:, :groups]
        if not used:
            return [0] * limbs.shape[1]
        low, end, top = used[0], min(used[-1] + 1, LIMBS - 1), limbs[-1].tolist()
        digits = limbs[low:end].T.astype("<u4").tobytes()
        size = 4 * (end - low)
        return [
            (int.from_bytes(digits[g * size : (g + 1) * size], "little") << 32 * low)
            + (high << 32 * (LIMBS - 1))
            for g, high in enumerate(top)
        ]


def _carry_into(limbs: Array, touched: Array, i: int, over: Array) -> None:
    """Add carries to a limb; a negative sum carries −1 up to the highest limb."""
    if over.any():
        limbs[i] += over
        touched[i] = 1


def add_poisson(of_x: GroupSums, of_y: GroupSums, x: Array, y: Array, keys: Array, seed: int) -> None:
    """Add the numbers x and y of each row to every group as often as a Poisson(1) variable says.

    The variable is a function of the seed, the row's key (uint64) and the group, so that sums of parts add up to the
    sum of the whole. No number is negative.
    """
    for sums in (of_x, of_y):
        sums.make_room(16 * len(x))
    limbs = (_address(of_x.limbs), _address(of_y.limbs))
    _native.poisson_sums(_address(x), _address(y), _address(keys), len(x), seed, of_x.groups, *limbs)
    for sums in (of_x, of_y):
        sums.touched |= sums.limbs.any(axis=1)
