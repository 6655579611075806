r"""Miscalibration, discrimination and uncertainty by isotonic regression (CORP).

.. math:: S = \mathrm{MCB} - \mathrm{DSC} + \mathrm{UNC}, \qquad \mathrm{MCB} = S - R, \quad \mathrm{DSC} = U - R

S is the mean score of the predictions, R that of the best increasing function of them, by pooling adjacent violators,
and U that of the best constant (Dimitriadis, Gneiting & Jordan 2021, https://doi.org/10.1073/pnas.2016191118).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._prediction_table import Entries

__all__ = ["SCORES", "Decomposition", "Refined", "pool_adjacent_violators", "refine"]

Array = np.ndarray[Any, Any]


class Decomposition(NamedTuple):
    """A score in its parts; `error` bounds how much larger miscalibration and discrimination may be."""

    miscalibration: float | None
    discrimination: float | None
    uncertainty: float | None
    error: float | None


class Refined(NamedTuple):
    """The score of the best increasing function of predictions, and how much lower it may be without the grid."""

    score: float
    error: float


def pool_adjacent_violators(weight: Array, positive: Array) -> tuple[Array, Array]:
    """Find the best increasing function of ordered predictions.

    Parameters
    ----------
    weight : float64 array (m,)
        The weight of the rows at each prediction, in increasing order of predictions; positive.
    positive : float64 array (m,)
        The part of it that has label 1.

    Returns
    -------
    (float64 array (b,), float64 array (b,))
        The same for each block of predictions that share a value, in increasing order.

    Examples
    --------
    >>> import numpy as np
    >>> weight, positive = pool_adjacent_violators(np.ones(4), np.asarray([0.0, 1.0, 0.0, 1.0]))
    >>> (positive / weight).tolist()
    [0.0, 0.5, 1.0]
    """
    blocks: list[tuple[float, float]] = []
    for w, a in zip(weight.tolist(), positive.tolist(), strict=True):
        while blocks and blocks[-1][1] * w >= a * blocks[-1][0]:  # at least as high: one block
            before = blocks.pop()
            w, a = w + before[0], a + before[1]
        blocks.append((w, a))
    table = np.asarray(blocks, np.float64).reshape(len(blocks), 2)
    return table[:, 0], table[:, 1]


def refine(entries: Entries, score: Callable[[Array, Array], float]) -> Refined:
    """Compute the mean score of the best increasing function.

    On a grid, the rows of a place are not told apart. The best that telling them apart could do is to put all rows of
    label 0 before those of label 1 in each place, which bounds the error.
    """
    used = entries.weight > 0
    weight, positive = entries.weight[used], entries.positive[used]
    best = score(*pool_adjacent_violators(weight, positive))
    if entries.exact:
        return Refined(best, 0.0)
    negative = weight - positive
    apart = np.stack([negative, positive], axis=1).reshape(-1)
    ones = np.stack([np.zeros_like(positive), positive], axis=1).reshape(-1)
    least = score(*pool_adjacent_violators(apart[apart > 0], ones[apart > 0]))
    return Refined(best, max(0.0, best - least))


def _log_score(weight: Array, positive: Array) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        p = positive / weight
        entropy = -np.where(p > 0, p * np.log(p), 0.0) - np.where(p < 1, (1 - p) * np.log1p(-p), 0.0)
    return float((weight * entropy).sum() / weight.sum())


def _brier_score(weight: Array, positive: Array) -> float:
    p = positive / weight
    return float((weight * p * (1 - p)).sum() / weight.sum())


#: The mean score of blocks whose rows are given the frequency of label 1 in them.
SCORES = {"log": _log_score, "brier": _brier_score}
