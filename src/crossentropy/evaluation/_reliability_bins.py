"""Bins of equal width, for the calibration error."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._exact import GroupSums

__all__ = ["Bin", "ReliabilityBins"]

Array = np.ndarray[Any, Any]


class Bin(NamedTuple):
    """What is in a bin: its rows, their weight, that of label 1, and the weighted sum of the probabilities."""

    n: int
    weight: Fraction
    positive: Fraction
    probability: Fraction


class ReliabilityBins:
    """B bins ``[k/B, (k + 1)/B)``, the last one closed: p is in bin ``floor(B p)``, in float64."""

    def __init__(self, bins: int, *, weighted: bool) -> None:
        self.counts = np.zeros((bins, 2), np.int64)
        self.probability = GroupSums(bins)
        self.weights = GroupSums(2 * bins) if weighted else None

    def add(self, p: Array, labels: Array, masses: tuple[Array, Array] | None, weight: Array | None) -> None:
        """Add rows; `masses` are the weights on labels 0 and 1 where rows are not counted."""
        bins = len(self.counts)
        place = np.minimum((p * bins).astype(np.int32), bins - 1)
        self.probability.add(p if weight is None else (p, weight), place)
        if self.weights is None or masses is None:
            self.counts += np.bincount(2 * place + labels, minlength=2 * bins).reshape(bins, 2)
            return
        self.counts[:, 0] += np.bincount(place, minlength=bins)
        for label in (0, 1):
            self.weights.add(masses[label], 2 * place + np.int32(label))

    def merge(self, other: "ReliabilityBins") -> None:
        """Add the rows of another."""
        self.counts += other.counts
        self.probability.add_from(other.probability)
        if self.weights is not None and other.weights is not None:
            self.weights.add_from(other.weights)

    def bins(self) -> list[Bin]:
        """Return the content of each bin."""
        p = self.probability.fractions()
        if self.weights is None:
            pairs = [(Fraction(int(a)), Fraction(int(b))) for a, b in self.counts]
        else:
            w = self.weights.fractions()
            pairs = [(w[2 * k], w[2 * k + 1]) for k in range(len(self.counts))]
        rows = self.counts.sum(axis=1).tolist()
        return [Bin(n, a + b, b, x) for n, (a, b), x in zip(rows, pairs, p, strict=True)]
