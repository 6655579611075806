"""The calibration curve, and where it would lie by chance if the predictions were calibrated."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._decomposition import Blocks, increasing_fits
from crossentropy.evaluation._prediction_table import Entries

__all__ = ["calibration_curve", "consistency_band"]

Array = np.ndarray[Any, Any]
#: Groups of predictions that a band is computed for, and data sets that are drawn.
GROUPS, DRAWS = 50, 200


def calibration_curve(entries: Entries, blocks: Blocks) -> list[dict[str, float]]:
    """Return the best increasing function of the predictions as steps: from, to, weight and frequency of label 1.

    Parameters
    ----------
    entries : Entries
        The predictions.
    blocks : Blocks
        The blocks that `best_blocks` made of them.

    Returns
    -------
    list of dict
        For each block the least and the greatest prediction in it, its weight, and the share of label 1 in that.
    """
    p = entries.probability[entries.weight > 0]
    last = np.cumsum(blocks.predictions) - 1
    first = last - blocks.predictions + 1
    return [
        {"from": float(p[i]), "to": float(p[j]), "weight": w, "frequency": a / w}
        for i, j, w, a in zip(first, last, blocks.weight.tolist(), blocks.positive.tolist(), strict=True)
    ]


class _Groups(NamedTuple):
    """Neighboring predictions as one: their mean, weight and number of rows."""

    probability: Array
    weight: Array
    rows: Array


def _grouped(entries: Entries) -> _Groups:
    before = np.cumsum(entries.weight) - entries.weight
    place = np.minimum((GROUPS * before / entries.weight.sum()).astype(np.int64), GROUPS - 1)
    sums = [
        np.bincount(place, x, minlength=GROUPS)
        for x in (entries.weight * entries.probability, entries.weight, entries.rows)
    ]
    used = sums[1] > 0
    p, weight, rows = (x[used] for x in sums)
    return _Groups(np.clip(p / weight, 0.0, 1.0), weight, rows)


def consistency_band(entries: Entries, confidence: float) -> list[dict[str, float]]:
    """Return where the calibration curve would lie, point by point, if the predictions were calibrated.

    Labels are drawn from the predictions, of fifty groups of nearly equal weight, and a curve is fitted to each
    data set (Dimitriadis, Gneiting & Jordan 2021, https://doi.org/10.1073/pnas.2016191118). The same data give the same
    band.

    Parameters
    ----------
    entries : Entries
        The predictions.
    confidence : float
        The share of curves within the band at a point.

    Returns
    -------
    list of dict
        For each group its mean prediction, and the lower and the upper end of the band.
    """
    p, weight, rows = _grouped(entries)
    random = np.random.RandomState(0)  # whose numbers no later version of NumPy changes
    n = np.maximum(rows, 1).astype(np.int64)
    frequencies = random.binomial(n, p, (DRAWS, len(p))) / n
    curves = increasing_fits(weight, weight * frequencies)
    lower, upper = np.quantile(curves, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return [
        {"probability": float(x), "lower": float(low), "upper": float(high)}
        for x, low, high in zip(p, lower, upper, strict=True)
    ]
