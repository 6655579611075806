"""Predictions of any kind as finite scores, and rows to fit a calibrator to."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import Declaration

__all__ = ["Rows", "probabilities", "row_losses", "rows_of", "scores_of"]

Array = np.ndarray[Any, Any]
#: More rows than this are condensed, to such parts of 1 in their log-odds.
MANY, PLACES = 1 << 16, 1024


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with scores: of two classes the log-odds of the second (n,), of more the log-probabilities (n, C)."""

    scores: Array
    #: int64 array (n,).
    labels: Array
    #: How many rows there were before any were condensed.
    n: int
    #: float64 array (n,), as passed, divided by their mean; of condensed rows, their sums. None if all are 1.
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return 2 if self.scores.ndim == 1 else int(self.scores.shape[1])

    @cached_property
    def weights(self) -> Array:
        """The weight of each row."""
        return np.ones(len(self)) if self.weight is None else self.weight

    def total(self, values: Array) -> float:
        """Sum a number of each row, times its weight."""
        return float((values if self.weight is None else values * self.weight).sum())

    def take(self, selection: Array) -> "Rows":
        """Return some of the rows."""
        weight = None if self.weight is None else self.weight[selection]
        labels = self.labels[selection]
        return Rows(self.scores[selection], labels, len(labels), weight)

    def condensed(self) -> "Rows":
        """Return fewer rows with nearly the same likelihood, where there are many rows of two classes.

        Rows of one label whose log-odds lie in one interval of 1/1024 become one, of their mean: the likelihood as a
        function of any smooth map of the log-odds changes by its curvature times 4e-8. Fits for judging a method take
        these; other fits start from theirs.
        """
        if self.classes > 2 or len(self) <= MANY:
            return self
        low, high = float(self.scores.min()), float(self.scores.max())
        if (high - low) * PLACES > len(self):
            return self
        place = 2 * np.rint((self.scores - low) * PLACES).astype(np.int64) + self.labels
        weight = np.bincount(place, self.weight)
        sums = np.bincount(place, self.scores * self.weights)
        used = np.flatnonzero(weight)
        means = np.clip(sums[used] / weight[used], low, high)  # equal scores stay equal
        return Rows(means, used % 2, self.n, weight[used].astype(np.float64))

    def smoothed(self) -> Array:
        """Return the distributions of labels that keep 1/(n + 2) for the classes that did not occur in a row.

        By the rule of succession: n rows that are all right are no proof that the next one will be.
        """
        miss = 1 / (self.n + 2)
        if self.classes == 2:
            return np.where(self.labels == 1, 1 - miss, miss)
        masses = np.full(self.scores.shape, miss / (self.classes - 1))
        masses[np.arange(len(self)), self.labels] = 1 - miss
        return masses


def rows_of(batch: Batch, declaration: Declaration, dtype: Any) -> Rows:
    """Return checked rows with their scores; those of weight 0 are left out.

    Raises
    ------
    ValueError
        If no row has weight.
    """
    if batch.weight is not None:
        batch = batch.take(batch.weight != 0)
    if not len(batch):
        raise ValueError("there are no rows with weight to fit; pass rows, or check the weights")
    weight = batch.weight
    if weight is not None:
        weight = None if (weight == weight[0]).all() else weight / weight.mean()
    scores = scores_of(batch.predictions, declaration, dtype)
    return Rows(scores, batch.labels, len(batch), weight)


def scores_of(predictions: Array, declaration: Declaration, dtype: Any) -> Array:
    """Return finite scores of checked predictions that were passed in a dtype.

    A probability of 0 stands for the smallest positive number of the dtype, one of 1 for the largest below 1: it was
    rounded.
    """
    finfo = np.finfo(dtype if np.dtype(dtype).kind == "f" else np.float64)
    least = math.log(float(finfo.smallest_subnormal))
    x, kind = predictions.astype(np.float64), declaration.kind
    with np.errstate(divide="ignore"):
        if declaration.one_column:
            if kind == "proba":
                x = np.log(x) - np.log1p(-np.minimum(x, 1 - float(finfo.epsneg)))
            elif kind == "log_proba":
                x = x - np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
            return _finite(x, least)
        x = np.log(x) if kind == "proba" else x
    x = _finite(x, least)
    return x[:, 1] - x[:, 0] if declaration.is_binary else _normalized(x)


def _finite(x: Array, least: float) -> Array:
    """Put the bounds of the dtype in place of infinite numbers."""
    return np.nan_to_num(x, nan=0.0, posinf=-least, neginf=least)


def _normalized(x: Array) -> Array:
    """Return the logarithm of the softmax of each row."""
    x = x - x.max(axis=1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)))


def probabilities(scores: Array) -> Array:
    """Return the probabilities (n, C) of scores."""
    if scores.ndim == 1:
        e = np.exp(-np.abs(scores))
        small, large = e / (1 + e), 1 / (1 + e)
        return np.stack([np.where(scores >= 0, small, large), np.where(scores >= 0, large, small)], axis=1)
    p = np.exp(_normalized(scores))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def row_losses(scores: Array, labels: Array) -> Array:
    """Return the log loss of each row."""
    if scores.ndim == 1:
        return np.logaddexp(0.0, np.where(labels == 1, -scores, scores))
    return -_normalized(scores)[np.arange(len(labels)), labels]
