r"""The Murphy diagram: two models under every proper score of two classes.

.. math:: S_\theta(p, y) = \theta\,[y = 0, p > \theta] + (1 - \theta)\,[y = 1, p \le \theta]

Every proper score is a mixture of these elementary scores over the threshold θ, the log loss with density
1/(θ(1 − θ)), so that a model that is better at every θ is better under all of them (Ehm, Gneiting, Jordan & Krüger
2016, https://doi.org/10.1111/rssb.12154).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._hashing import sort_keys

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
    keys, masses = _in_order(first, second, labels, weight)
    address, sums = NumpyMemory.address, np.empty((len(THRESHOLDS) + 1, 4))
    first_is_better, second_is_better = _native.murphy(
        address(keys),
        0 if masses is None else address(masses),
        len(keys),
        address(THRESHOLDS),
        len(THRESHOLDS),
        0.0 if masses is None else 1e-12 * total,
        address(sums),
    )
    dominant = {(False, False): "both", (True, False): "first", (False, True): "second"}.get(
        (first_is_better, second_is_better)
    )
    theta, (above, below, first_above, first_below) = THRESHOLDS, sums[:-1].T
    difference = (theta * above + (1 - theta) * below) / total
    score = (theta * (first_above - sums[-1, 2]) + (1 - theta) * first_below) / total
    return Murphy(
        dominant, list(zip(theta.tolist(), score.tolist(), (score + difference).tolist(), strict=True))
    )


def _in_order(first: Array, second: Array, labels: Array, weight: Array | None) -> tuple[Array, Array | None]:
    """Return the bits of both models' probabilities in increasing order, the last two replaced, and their weights.

    The last bit is the label, the one before it is set for the second model: so numbers alone are sorted.
    """
    n, label = len(first), labels.astype(np.uint64)
    at = np.concatenate([first, second])
    at += 0.0  # −0 becomes 0
    keys = at.view(np.uint64)
    keys &= ~np.uint64(3)
    keys[:n] |= label
    keys[n:] |= label + np.uint64(2)
    if weight is None:
        sort_keys(keys)
        return keys, None
    order = np.argsort(keys, kind="stable")
    return keys[order], np.tile(weight, 2)[order]
