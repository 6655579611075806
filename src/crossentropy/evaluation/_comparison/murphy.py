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
    unit = np.ones(len(labels)) if weight is None else weight
    total = math.fsum(unit)
    at, positive = np.concatenate([first, second]), np.tile(labels == 1, 2)
    change = np.concatenate([-unit, unit])
    order = np.argsort(at, kind="stable")
    at, positive, change = at[order], positive[order], change[order]
    above, below = -np.cumsum(np.where(positive, 0.0, change)), np.cumsum(np.where(positive, change, 0.0))
    ends = np.append(at[1:], 1.0)
    # between neighboring probabilities the difference is linear, so its ends decide
    used = ends > at
    used[-1] = True
    low, high = (x[used] * above[used] + (1 - x[used]) * below[used] for x in (at, ends))
    rounding = 0.0 if weight is None else 1e-12 * total
    worse = bool((low > rounding).any() or (high > rounding).any())
    better = bool((low < -rounding).any() or (high < -rounding).any())
    dominant = {(False, False): "both", (True, False): "first", (False, True): "second"}.get((worse, better))
    scores = [_elementary_scores(p, labels == 1, unit) / total for p in (first, second)]
    return Murphy(dominant, list(zip(THRESHOLDS.tolist(), *(s.tolist() for s in scores), strict=True)))


def _elementary_scores(p: Array, positive: Array, unit: Array) -> Array:
    """Return the summed elementary scores at the thresholds."""
    place = np.searchsorted(THRESHOLDS, p, side="left")  # p is above the thresholds before this place
    size = len(THRESHOLDS) + 1
    zero = np.bincount(place, np.where(positive, 0.0, unit), size)
    one = np.bincount(place, np.where(positive, unit, 0.0), size)
    above = zero.sum() - np.cumsum(zero)[:-1]
    return np.asarray(THRESHOLDS * above + (1 - THRESHOLDS) * np.cumsum(one)[:-1])
