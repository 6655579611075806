"""Calibration errors of binned predictions."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from crossentropy.evaluation._exact import UNIT, scaled
from crossentropy.evaluation._prediction_table import Entries
from crossentropy.evaluation._reliability_bins import Bin

__all__ = ["binned", "debiased_square", "equal_mass_bins", "expected_error", "maximum_error", "reliability"]

Array = np.ndarray[Any, Any]


def expected_error(bins: Sequence[Bin]) -> float:
    r"""Compute the expected calibration error of bins.

    .. math:: \mathrm{ECE} = \sum_b \frac{W_b}{W}\, \lvert \bar y_b - \bar p_b \rvert

    (Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """
    return sum(abs(b.positive - b.probability) for b in bins) / sum(b.weight for b in bins)


def maximum_error(bins: Sequence[Bin]) -> float:
    """Compute the largest difference between frequency and mean probability in a bin."""
    return max(abs(b.positive - b.probability) / b.weight for b in bins if b.weight)


def debiased_square(bins: Sequence[Bin]) -> float | None:
    r"""Compute the squared calibration error of bins less what chance adds to it; it may be negative.

    .. math:: \sum_b \frac{W_b}{W} \Bigl[(\bar y_b - \bar p_b)^2 - \frac{\bar y_b (1 - \bar y_b)}{n_b - 1}\Bigr]

    (Kumar, Liang & Ma 2019, https://arxiv.org/abs/1909.10155). Bins of one row are left out; None if there are no
    others.
    """
    kept = [b for b in bins if b.n > 1 and b.weight]
    if not kept:
        return None
    square = Fraction(0)
    for b in kept:
        chance = Fraction(b.positive * (b.weight - b.positive), b.n - 1)
        square += ((b.positive - b.probability) ** 2 - chance) / b.weight
    return float(square / sum(b.weight for b in kept))


def equal_mass_bins(entries: Entries, bins: int) -> list[Bin]:
    """Put predictions into bins of nearly equal weight.

    Equal predictions, or those of one place on the grid, stay together: a prediction with the weight ``w`` and ``v``
    before it is in bin ``floor(B (v + w/2) / W)``.
    """
    before = np.cumsum(entries.weight) - entries.weight
    place = np.floor(bins * (before + entries.weight / 2) / entries.weight.sum())
    return _of_entries(entries, np.minimum(place, bins - 1).astype(np.int64), bins)


def binned(entries: Entries, bins: int) -> list[Bin]:
    """Put predictions into bins of equal width, ``floor(B p)``; places of the grid by their middle."""
    place = np.minimum((entries.probability * bins).astype(np.int64), bins - 1)
    return _of_entries(entries, place, bins)


def _of_entries(entries: Entries, place: Array, bins: int) -> list[Bin]:
    columns = [
        np.bincount(place, values, minlength=bins).tolist()
        for values in (entries.weight, entries.positive, entries.weight * entries.probability)
    ]
    rows = np.bincount(place, entries.rows, minlength=bins).tolist()
    return [Bin(int(n), *map(scaled, values)) for n, *values in zip(rows, *columns, strict=True)]


def reliability(bins: Sequence[Bin]) -> list[dict[str, float | int]]:
    """Return the points of a reliability diagram, of the bins that have rows."""
    total = len(bins)
    return [
        {
            "from": k / total,
            "to": (k + 1) / total,
            "n": b.n,
            "weight": b.weight / (1 << UNIT),
            "probability": b.probability / b.weight,
            "frequency": b.positive / b.weight,
        }
        for k, b in enumerate(bins)
        if b.weight
    ]
