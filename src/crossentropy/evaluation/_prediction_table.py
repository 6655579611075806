"""Labels counted by prediction: exactly while the distinct predictions fit, then on a fine grid.

Everything about calibration is a function of these counts. A table turns to the grid when it has seen more than
`limit` distinct predictions; whether it has is a property of all rows together, and a prediction has one place on the
grid, so that the order of rows and of merging makes no difference.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._exact import ExactSum, GroupSums

__all__ = ["Entries", "PredictionTable", "add_by_label", "count_on_grid", "grid_bits", "grid_size"]

Array = np.ndarray[Any, Any]
#: From keys to the probability and its complement.
Probability = Callable[[Array], tuple[Array, Array]]


def grid_bits(classes: int) -> int:
    """Return the bits of the grid for each of so many classes: 7 for up to 13 of them, then fewer.

    The grid has 8197 places for 7 bits; neighbors differ by a factor of at most ``1 + 2⁻⁷`` in ``min(p, 1 − p)``.
    """
    bits = 7
    while bits > 0 and classes > 13 << (7 - bits):
        bits -= 1
    return bits


def grid_size(bits: int) -> int:
    """Return the number of places; see ``native/evaluation/grid.hpp``."""
    return 2 * (2 + (32 << bits)) + 1


def grid_probabilities(bits: int) -> Array:
    """Return the middle of each place."""
    steps = np.arange(32 << bits)
    edges = 2.0 ** (steps // (1 << bits) - 33.0) * (1 + (steps % (1 << bits)) / (1 << bits))
    edges = np.concatenate([edges, [0.5]])
    low = np.concatenate([[0.0, 2.0**-34], (edges[:-1] + edges[1:]) / 2])
    return np.concatenate([low, [0.5], 1 - low[::-1]])


class Entries(NamedTuple):
    """Predictions in increasing order, with the weights of their labels."""

    #: Keys (exact) or the middles of the places of the grid; float64 (m,).
    key: Array
    probability: Array
    #: Total weight, and that on label 1; float64 (m,).
    weight: Array
    positive: Array
    #: The number of rows; float64 (m,).
    rows: Array
    #: Whether all distinct predictions are told apart.
    exact: bool


class PredictionTable:
    """Weights of labels 0 and 1 by prediction.

    Parameters
    ----------
    bits : int
        How fine the grid is.
    weighted : bool
        Whether rows have weights or soft labels. Otherwise they are counted by integers, and the state of a table has
        16 bytes for each place; weighted, it has 16 for each 32 bits between the exponents of the weights.
    probability : function
        From keys to the probability and its complement, for a table that turns to the grid.
    counts : int64 array (grid_size, 2), optional
        Where to count; zeros.
    """

    def __init__(
        self, bits: int, *, weighted: bool, probability: Probability, counts: Array | None = None
    ) -> None:
        self.bits, self.weighted, self.probability = bits, weighted, probability
        self.size = self.limit = grid_size(bits)
        self.table: _native.KeyTable | None = _native.KeyTable(self.limit)
        self.counts = np.zeros((self.size, 2), np.int64) if counts is None else counts
        self.sums = GroupSums(2 * self.size) if weighted else None

    @property
    def is_exact(self) -> bool:
        """Whether all distinct predictions are told apart."""
        return self.table is not None

    def add(
        self,
        key: Array,
        p: Array,
        complement: Array | None,
        labels: Array,
        weight: Array | None = None,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        key : float64 array (n,)
            What predictions are told apart by; not −0.
        p : float64 array (n,)
            The probability of label 1.
        complement : float64 array (n,), optional
            ``1 − p``, if it is known without rounding.
        labels : int64 array (n,), or float64 array (n,)
            Labels, 0 and 1; or the probability of label 1.
        weight : float64 array (n,), optional
        """
        n = len(key)
        places = np.empty(n, np.int32)
        if self.table is not None:
            if self.table.find(NumpyMemory.address(key), n, NumpyMemory.address(places)):
                self._count(places, labels, weight)
                return
            self.to_grid()
        if self.sums is None:
            count_on_grid(self.counts, self.bits, p, complement, labels, 1)
        else:
            self._count(self._places(p, complement), labels, weight)

    def _count(self, places: Array, labels: Array, weight: Array | None) -> None:
        if self.sums is None:
            counts = np.bincount(2 * places + labels, minlength=2 * self.size)
            self.counts += counts.reshape(self.size, 2)
            return
        self.counts[:, 0] += np.bincount(places, minlength=self.size)
        add_by_label(self.sums, places, labels, weight)

    def _places(self, p: Array, complement: Array | None) -> Array:
        places = np.empty(len(p), np.int32)
        _native.grid_places(
            NumpyMemory.address(p),
            0 if complement is None else NumpyMemory.address(complement),
            len(p),
            self.bits,
            NumpyMemory.address(places),
        )
        return places

    def keys(self) -> Array:
        """The distinct keys, in the order of their places; float64."""
        keys = [] if self.table is None else self.table.keys()
        return np.asarray(keys, np.uint64).view(np.float64)

    def to_grid(self) -> None:
        """Turn from distinct predictions to the grid; nothing if it has."""
        if self.table is not None:
            counts, self.sums = self._on_grid()
            self.counts[:] = counts
            self.table = None

    def _on_grid(self) -> tuple[Array, GroupSums | None]:
        """Return the counts and sums by places of the grid."""
        if self.table is None:
            return self.counts, self.sums
        keys = self.keys()
        places = self._places(*self.probability(keys))
        counts = np.zeros_like(self.counts)
        np.add.at(counts, places, self.counts[: len(keys)])
        if self.sums is None:
            return counts, None
        sums = GroupSums(self.sums.groups)
        sums.add_from(self.sums, _both(places))
        return counts, sums

    def merge(self, other: "PredictionTable") -> None:
        """Add the rows of another table, which stays as it is."""
        places: Array | None = None
        counts, sums = other.counts, other.sums
        if self.table is not None and other.table is not None:
            keys = other.keys()
            places = np.empty(len(keys), np.int32)
            if not self.table.find(NumpyMemory.address(keys), len(keys), NumpyMemory.address(places)):
                places = None
        if places is None:
            self.to_grid()
            counts, sums = other._on_grid()
            self.counts += counts
        else:
            np.add.at(self.counts, places, counts[: len(places)])
        if self.sums is not None and sums is not None:
            self.sums.add_from(sums, None if places is None else _both(places))

    def entries(self) -> Entries:
        """Return the predictions that occurred, in increasing order."""
        if self.table is None:
            used = np.flatnonzero(self.counts.any(axis=1))
            p = grid_probabilities(self.bits)[used]
            key = p
        else:
            key = self.keys()
            used = np.argsort(key, kind="stable")
            key = key[used]
            p = self.probability(key)[0]
        if self.sums is None:
            weights = self.counts[used].astype(np.float64)
        else:
            weights = np.asarray([float(ExactSum(x)) for x in self.sums.scaled()]).reshape(-1, 2)[used]
        rows = self.counts[used].sum(axis=1).astype(np.float64)
        return Entries(key, p, weights.sum(axis=1), weights[:, 1], rows, self.is_exact)


def count_on_grid(
    counts: Array, bits: int, p: Array, complement: Array | None, labels: Array, first: int
) -> None:
    """Count rows on the grid: one class, or with p (C, n) each class from `first` on against the others."""
    classes = 1 if p.ndim == 1 else len(p)
    _native.grid_counts(
        NumpyMemory.address(p),
        0 if complement is None else NumpyMemory.address(complement),
        NumpyMemory.address(labels),
        len(labels),
        first,
        classes,
        bits,
        NumpyMemory.address(counts),
    )


def add_by_label(sums: GroupSums, places: Array, labels: Array, weight: Array | None) -> None:
    """Add the weight of each row to groups ``2 · place + label``; that of a soft label to both."""
    if labels.dtype.kind == "i" and weight is not None:
        sums.add(weight, 2 * places + labels.astype(np.int32))
        return
    for label, mass in ((0, 1.0 - labels), (1, labels.astype(np.float64))):
        sums.add(mass if weight is None else mass * weight, 2 * places + np.int32(label))


def _both(places: Array) -> Array:
    """Return the places of the sums of labels 0 and 1."""
    return np.stack([2 * places, 2 * places + 1], axis=1).reshape(-1)
