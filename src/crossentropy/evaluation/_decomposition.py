r"""Miscalibration, discrimination and uncertainty by isotonic regression (CORP).

.. math:: S = \mathrm{MCB} - \mathrm{DSC} + \mathrm{UNC}, \qquad \mathrm{MCB} = S - R, \quad \mathrm{DSC} = U - R

S is the mean score of the predictions, R that of the best increasing function of them, by pooling adjacent violators,
and U that of the best constant (Dimitriadis, Gneiting & Jordan 2021, https://doi.org/10.1073/pnas.2016191118).
"""

from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._prediction_table import Entries

__all__ = [
    "Blocks",
    "best_blocks",
    "brier_score",
    "increasing_fits",
    "least_blocks",
    "log_score",
    "pool_adjacent_violators",
]

Array = np.ndarray[Any, Any]


class Blocks(NamedTuple):
    """The values of an increasing function: the weight of the rows that share each, and the part with label 1."""

    weight: Array
    positive: Array
    #: int64 array: how many predictions share each.
    predictions: Array


def pool_adjacent_violators(weight: Array, positive: Array) -> Blocks:
    """Find the best increasing function of ordered predictions.

    Parameters
    ----------
    weight : float64 array (m,)
        The weight of the rows at each prediction, in increasing order of predictions; positive.
    positive : float64 array (m,)
        The part of it that has label 1.

    Returns
    -------
    Blocks
        The same for each block of predictions that share a value, in increasing order.

    Examples
    --------
    >>> import numpy as np
    >>> blocks = pool_adjacent_violators(np.ones(4), np.asarray([0.0, 1.0, 0.0, 1.0]))
    >>> (blocks.positive / blocks.weight).tolist(), blocks.predictions.tolist()
    ([0.0, 0.5, 1.0], [1, 2, 1])
    """
    weight, positive, counts = weight.copy(), positive.copy(), np.ones(len(weight), np.int64)
    address = NumpyMemory.address
    count = _native.pool_adjacent_violators(address(weight), address(positive), address(counts), len(weight))
    return Blocks(weight[:count], positive[:count], counts[:count])


def increasing_fits(weight: Array, positive: Array) -> Array:
    """Find the best increasing function of ordered predictions for each of many data sets.

    Parameters
    ----------
    weight : float64 array (m,)
        The weight of the rows at each prediction, in every data set.
    positive : float64 array (k, m)
        The part of it that has label 1 in each of k data sets.

    Returns
    -------
    float64 array (k, m)
        The value of the function at each prediction: the frequency of label 1 in its block.

    Examples
    --------
    >>> import numpy as np
    >>> increasing_fits(np.ones(3), np.asarray([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])).tolist()
    [[0.5, 0.5, 1.0], [0.0, 0.0, 1.0]]
    """
    fitted = positive.copy()
    _native.increasing_fits(*map(NumpyMemory.address, (weight, fitted)), *fitted.shape)
    return fitted


def best_blocks(entries: Entries) -> Blocks:
    """Find the best increasing function of predictions."""
    used = entries.weight > 0
    return pool_adjacent_violators(entries.weight[used], entries.positive[used])


def least_blocks(entries: Entries) -> Blocks:
    """Find the best increasing function if places of the grid were as favorable as they can be.

    The rows of a place are not told apart. The best that telling them apart could do is to put all rows of label 0
    before those of label 1, so that no increasing function of the predictions has a lower score than this one.
    """
    apart = np.stack([entries.weight - entries.positive, entries.positive], axis=1).reshape(-1)
    ones = np.stack([np.zeros(len(entries.positive)), entries.positive], axis=1).reshape(-1)
    return pool_adjacent_violators(apart[apart > 0], ones[apart > 0])


def log_score(blocks: Blocks) -> float:
    """Return the mean log loss of blocks whose rows are given the frequency of label 1 in them."""
    weight, positive = blocks.weight, blocks.positive
    with np.errstate(divide="ignore", invalid="ignore"):
        p = positive / weight
        entropy = -np.where(p > 0, p * np.log(p), 0.0) - np.where(p < 1, (1 - p) * np.log1p(-p), 0.0)
    return float((weight * entropy).sum() / weight.sum())


def brier_score(blocks: Blocks) -> float:
    """Return their mean Brier score."""
    weight, positive = blocks.weight, blocks.positive
    p = positive / weight
    return float((weight * p * (1 - p)).sum() / weight.sum())
