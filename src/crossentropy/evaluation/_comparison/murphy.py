r"""The Murphy diagram: two models under every proper score of two classes.

.. math:: S_\theta(p, y) = \theta\,[y = 0, p > \theta] + (1 - \theta)\,[y = 1, p \le \theta]

Every proper score is a mixture of these elementary scores over the threshold θ, the log loss with density
1/(θ(1 − θ)), so that a model that is better at every θ is better under all of them (Ehm, Gneiting, Jordan & Krüger
2016, https://doi.org/10.1111/rssb.12154).
"""

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Murphy", "murphy"]

Array = np.ndarray[Any, Any]
THRESHOLDS = np.arange(1, 100) / 100


class Murphy(NamedTuple):
    """Mean elementary scores, and which model is nowhere worse."""

    #: "first", "second", "both" if they are equal everywhere, or None.
    dominant: str | None
    #: For each of 99 thresholds: the threshold, the score of the first and of the second.
    curve: list[tuple[float, float, float]]


def murphy(first: Array, second: Array, labels: Array, weight: Array | None = None) -> Murphy:
    """Compare two models' probabilities of label 1 at every threshold.

    Parameters
    ----------
    first, second : float64 array (n,)
    labels : int64 array (n,)
        0 and 1.
    weight : float64 array (n,), optional

    Examples
    --------
    >>> import numpy as np
    >>> sharp, dull, labels = np.asarray([0.1, 0.9]), np.asarray([0.4, 0.6]), np.asarray([0, 1])
    >>> murphy(sharp, dull, labels).dominant, murphy(dull, dull, labels).dominant
    ('first', 'both')
    """
    total = float(len(labels)) if weight is None else math.fsum(weight)
    at, positive, change = _in_order(first, second, labels == 1, weight)
    above, below = _masses(positive, change)
    # between neighboring probabilities the difference is linear, so its ends decide; outside of all it is 0
    last = np.flatnonzero(at[1:] > at[:-1])
    low, high = (x * above[last + 1] + (1 - x) * below[last + 1] for x in (at[last], at[last + 1]))
    rounding = 0.0 if weight is None else 1e-12 * total
    worse = bool((low > rounding).any() or (high > rounding).any())
    better = bool((low < -rounding).any() or (high < -rounding).any())
    dominant = {(False, False): "both", (True, False): "first", (False, True): "second"}.get((worse, better))
    theta, rows = THRESHOLDS, np.searchsorted(at, THRESHOLDS, side="right")
    difference = (theta * above[rows] + (1 - theta) * below[rows]) / total
    above, below = _masses(positive, np.maximum(-change, 0.0))
    score = (theta * (above[rows] - above[-1]) + (1 - theta) * below[rows]) / total
    return Murphy(
        dominant, list(zip(theta.tolist(), score.tolist(), (score + difference).tolist(), strict=True))
    )


def _masses(positive: Array, change: Array) -> tuple[Array, Array]:
    """Return less the mass of labels 0, and the mass of labels 1, among the first 0, 1, … rows."""
    zero, one = np.where(positive, 0.0, change), np.where(positive, change, 0.0)
    return -np.concatenate([[0.0], zero.cumsum()]), np.concatenate([[0.0], one.cumsum()])


def _in_order(
    first: Array, second: Array, positive: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """Return the probabilities of both in increasing order, with their labels and their weights, those of `first` < 0.

    Without weights, model and label are put into the last two bits of the probability, which is then sorted alone.
    """
    if weight is not None:
        at, change = np.concatenate([first, second]), np.concatenate([-weight, weight])
        order = np.argsort(at, kind="stable")
        return at[order], np.tile(positive, 2)[order], change[order]
    bits = (np.concatenate([first, second]) + 0.0).view(np.uint64) & ~np.uint64(3)  # −0 becomes 0
    label = positive.astype(np.uint64)
    bits |= np.concatenate([label, label + np.uint64(2)])
    bits.sort()
    return (bits & ~np.uint64(3)).view(np.float64), (bits & 1).astype(bool), (bits & 2).astype(np.float64) - 1
