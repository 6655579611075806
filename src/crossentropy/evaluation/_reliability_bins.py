"""Bins of equal width, for the calibration error."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._exact import UNIT, GroupSums
from crossentropy.evaluation._prediction_table import add_by_label

__all__ = ["Bin", "ReliabilityBins", "bin_places"]

Array = np.ndarray[Any, Any]


class Bin(NamedTuple):
    """What is in a bin: its rows, their weight, that of label 1, and the weighted sum of the probabilities.

    Sums are exact, integers in units of 2^-1074.
    """

    n: int
    weight: int
    positive: int
    probability: int


def bin_places(p: Array, bins: int) -> Array:
    """Return the bin (int32) of each probability."""
    return np.minimum((p * bins).astype(np.int32), np.int32(bins - 1))


class ReliabilityBins:
    """B bins ``[k/B, (k + 1)/B)``, the last one closed: p is in bin ``floor(B p)``, in float64.

    Without weights, each p is rounded to a multiple of 2⁻⁵⁴ to be summed.
    """

    def __init__(self, bins: int, *, weighted: bool) -> None:
        #: For each bin and label the rows, and without weights their sum as high · 2^27 + low; the last is unused.
        self.table = np.zeros((bins, 2, 4), np.int64)
        self.probability = GroupSums(bins) if weighted else None
        self.weights = GroupSums(2 * bins) if weighted else None

    @property
    def counts(self) -> Array:
        """Rows by bin and label; weighted rows all stand at label 0."""
        return self.table[:, :, 0]

    @property
    def units(self) -> Array:
        """For each bin the sum of the probabilities as high · 2^27 + low."""
        sums = self.table[:, :, 1:3].sum(axis=1)
        over = sums[:, 1] >> 27
        return sums + np.stack([over, -over << 27], axis=1)

    def fill(self, counts: Array, units: Array) -> None:
        """Set counts and sums."""
        self.table[:, :, 0] = counts
        self.table[:, 0, 1:3] = units

    def add(self, p: Array, labels: Array, weight: Array | None) -> None:
        """Add rows: labels 0 and 1, or if weighted, the probability of label 1."""
        bins, address = len(self.table), NumpyMemory.address
        if self.weights is None or self.probability is None:
            _native.bin_counts(address(p), address(labels), len(p), bins, address(self.table))
            return
        place = bin_places(p, bins)
        self.probability.add(p if weight is None else (p, weight), place)
        self.counts[:, 0] += np.bincount(place, minlength=bins)
        add_by_label(self.weights, place, labels, weight)

    def merge(self, other: "ReliabilityBins") -> None:
        """Add the rows of another."""
        self.table += other.table
        for own, its in ((self.probability, other.probability), (self.weights, other.weights)):
            if own is not None and its is not None:
                own.add_from(its)

    def bins(self) -> list[Bin]:
        """Return the content of each bin."""
        if self.weights is None or self.probability is None:
            p = [((high << 27) + low) << (UNIT - 54) for high, low in self.units.tolist()]
            pairs = [(a << UNIT, b << UNIT) for a, b in self.counts.tolist()]
        else:
            p, w = self.probability.scaled(), self.weights.scaled()
            pairs = [(w[2 * k], w[2 * k + 1]) for k in range(len(self.counts))]
        rows = self.counts.sum(axis=1).tolist()
        return [Bin(n, a + b, b, x) for n, (a, b), x in zip(rows, pairs, p, strict=True)]
