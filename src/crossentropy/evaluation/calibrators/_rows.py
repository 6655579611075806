"""Predictions of any kind as finite scores, and rows to fit a calibrator to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory, large_array
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._row_scores import logistic_loss, native_matrix
from crossentropy.evaluation.calibrators._softmax import scaled_by, softmax_terms

__all__ = [
    "FARTHEST",
    "MANY",
    "Cells",
    "Rows",
    "condense",
    "odds_against_rest",
    "probabilities",
    "row_losses",
    "rows_of",
    "scores_of",
]

Array = np.ndarray[Any, Any]
#: More rows than this are condensed, to such parts of 1 in their log-odds.
MANY, PLACES = 1 << 16, 1024
#: Beyond it log-odds are as good as infinite.
FARTHEST = 750.0
#: Numbers that are worked on at once, so that they stay in a cache.
CACHED = 1 << 17


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with scores: of two classes the log-odds of the second (n,), of more the log-probabilities (n, C)."""

    scores: Array
    #: Labels, int64 array (n,); or masses: float64 array (n,) of the second of two classes, (n, C) of more.
    targets: Array
    #: How many rows there were before any were condensed.
    n: int
    #: float64 array (n,), as passed, divided by their mean; of condensed rows, their sums. None if all are 1.
    weight: Array | None = None
    #: uint64 array (n,), the hash of each row's cluster; None if rows are independent.
    cluster: Array | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return 2 if self.scores.ndim == 1 else int(self.scores.shape[1])

    @property
    def is_soft(self) -> bool:
        """Whether there are masses in place of labels."""
        return self.targets.dtype.kind == "f"

    @cached_property
    def weights(self) -> Array:
        """The weight of each row."""
        return np.ones(len(self)) if self.weight is None else self.weight

    def masses_of(self, k: int) -> Array:
        """Return each row's mass of class k of more than two."""
        return self.targets[:, k] if self.is_soft else (self.targets == k).astype(np.float64)

    def total(self, values: Array) -> float:
        """Sum a number of each row, times its weight."""
        return float((values if self.weight is None else values * self.weight).sum())

    def take(self, selection: Any) -> "Rows":
        """Return the rows of a slice, a mask or indices."""

        def of(x: Array | None) -> Any:
            return None if x is None else x[selection]

        scores = self.scores.T
        if isinstance(selection, np.ndarray) and selection.dtype.kind == "i":
            whole = large_array((*scores.shape[:-1], len(selection)))
            scores = np.take(scores, selection, axis=-1, out=whole, mode="clip").T  # "raise" would copy
        else:
            scores = scores[..., selection].T
        targets = self.targets[selection]
        return Rows(scores, targets, len(targets), of(self.weight), of(self.cluster))

    def sample(self, least: int) -> "Rows":
        """Return every so many-th row, so that there are at least `least`; all if there are not many more."""
        step = len(self) // least
        if step <= 3:
            return self
        few = self.take(slice(None, None, step))
        return replace(few, scores=np.ascontiguousarray(few.scores.T).T)

    @cached_property
    def odds(self) -> Array:
        """The log-odds (C, n) of each of more than two classes against the others."""
        return odds_against_rest(self.scores)

    @cached_property
    def condensed(self) -> "Rows":
        """Fewer rows with nearly the same likelihood, where there are many rows of two classes; see `condense`."""
        parts = condense([self])
        return self if parts is None else parts[0].rows(self.n)

    def smoothed(self) -> Array:
        """Return the distributions of labels that keep 1/(n + 2) for the classes that did not occur in a row.

        By the rule of succession: n rows that are all right are no proof that the next one will be.
        """
        miss, targets = 1 / (self.n + 2), self.targets
        if not self.is_soft and self.classes > 2:
            targets = (targets[:, None] == np.arange(self.classes)).astype(np.float64)
        return (1 - miss) * targets + miss / (self.classes - 1) * (1 - targets)


class Cells(NamedTuple):
    """Rows of two classes counted by label and by the place of their log-odds: [place · 2 + label]."""

    weight: Array
    #: The sums of their weighted log-odds.
    moment: Array
    #: The lowest and the highest log-odds.
    low: float
    high: float

    def __add__(self, other: "Cells") -> "Cells":  # type: ignore[override]
        return self._replace(weight=self.weight + other.weight, moment=self.moment + other.moment)

    def rows(self, n: int) -> Rows:
        """Return a row for each cell, of the mean log-odds."""
        used = np.flatnonzero(self.weight)
        means = np.clip(self.moment[used] / self.weight[used], self.low, self.high)  # equal scores stay equal
        return Rows(means, used % 2, n, self.weight[used].astype(np.float64))


def condense(parts: Sequence[Rows]) -> list[Cells] | None:
    """Count parts of many rows of two classes in cells; None if that makes them no fewer.

    Rows of one label whose log-odds lie in one interval of 1/1024 become one, of their mean: the likelihood as a
    function of any smooth map of the log-odds changes by its curvature times 4e-8. Fits for judging a method take
    these; other fits start from theirs. A row of masses is one of each label.
    """
    n = sum(len(part) for part in parts)
    if parts[0].classes > 2 or n <= MANY:
        return None
    low, high = (float(f([f(part.scores) for part in parts if len(part)])) for f in (np.min, np.max))
    if (high - low) * PLACES > n:
        return None
    size = 2 * (round((high - low) * PLACES) + 1)
    return [_count(part, low, high, size) for part in parts]


def _count(rows: Rows, low: float, high: float, size: int) -> Cells:
    place = 2 * np.rint((rows.scores - low) * PLACES).astype(np.int64)
    if not rows.is_soft:
        place += rows.targets
        weighted = rows.scores if rows.weight is None else rows.scores * rows.weight
        return Cells(np.bincount(place, rows.weight, size), np.bincount(place, weighted, size), low, high)
    ones, zeros = rows.weights * rows.targets, rows.weights * (1 - rows.targets)
    by_label = [
        (np.bincount(place + label, mass, size), np.bincount(place + label, mass * rows.scores, size))
        for label, mass in enumerate((zeros, ones))
    ]
    return Cells(by_label[0][0] + by_label[1][0], by_label[0][1] + by_label[1][1], low, high)


def rows_of(batch: Batch, declaration: Declaration, dtype: Any, *, overwrite: bool = False) -> Rows:
    """Return checked rows with their scores; those of weight 0 are left out.

    With `overwrite`, the scores may take the memory of the predictions.

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
    scores, targets = (
        scores_of(batch.predictions, declaration, dtype, overwrite=overwrite),
        batch.wide().labels,
    )
    if declaration.soft and declaration.is_binary and not declaration.one_column:
        targets = np.ascontiguousarray(targets[:, 1])
    return Rows(scores, targets, len(batch), weight, batch.cluster)


def scores_of(predictions: Array, declaration: Declaration, dtype: Any, *, overwrite: bool = False) -> Array:
    """Return finite scores of checked predictions that were passed in a dtype.

    A probability of 0 stands for the smallest positive number of the dtype, one of 1 for the largest below 1: it was
    rounded.
    """
    finfo = np.finfo(dtype if np.dtype(dtype).kind == "f" else np.float64)
    least = math.log(float(finfo.smallest_subnormal))
    x, kind = predictions.astype(np.float64, copy=False), declaration.kind
    with np.errstate(divide="ignore"):
        if declaration.one_column:
            if kind == "proba":
                x = np.log(x) - np.log1p(-np.minimum(x, 1 - float(finfo.epsneg)))
            elif kind == "log_proba":
                x = x - np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
            return _finite(x, least)
        if kind == "proba":
            x = np.log(x, out=x if overwrite else large_array(x.T.shape).T)
    x = _finite(x, least)
    if declaration.is_binary:
        return x[:, 1] - x[:, 0]
    free = overwrite or not np.may_share_memory(x, predictions)
    return _normalized(x, in_place=free and x.T.flags.c_contiguous)


def _finite(x: Array, least: float) -> Array:
    """Put the bounds of the dtype in place of infinite numbers."""
    return x if np.isfinite(x).all() else np.nan_to_num(x, nan=0.0, posinf=-least, neginf=least)


def _normalized(x: Array, *, in_place: bool = False) -> Array:
    """Return the logarithm of the softmax of each row, columns beside each other."""
    z = x.T if in_place else np.array(x.T, np.float64, order="C")
    step = max(1, CACHED // len(z))
    for start in range(0, z.shape[1], step):
        part = z[:, start : start + step]
        part -= part.max(axis=0)
        part -= np.log(np.exp(part).sum(axis=0))
    return z.T


def odds_against_rest(scores: Array) -> Array:
    """Return the log-odds (C, n) of each of more than two classes against the others, not beyond `FARTHEST`.

    >>> odds_against_rest(np.log([[0.2, 0.3, 0.5]])).round(6).tolist()
    [[-1.386294], [-0.847298], [0.0]]
    """
    odds = large_array(scores.T.shape)
    address, threads = NumpyMemory.address(odds), NumpyMemory.threads()
    _native.odds_against_rest(native_matrix(scores), FARTHEST, address, threads)
    return odds


def probabilities(scores: Array) -> Array:
    """Return the probabilities (n, C) of scores."""
    if scores.ndim == 1:
        e = np.exp(-np.abs(scores))
        small, large = e / (1 + e), 1 / (1 + e)
        return np.stack([np.where(scores >= 0, small, large), np.where(scores >= 0, large, small)], axis=1)
    p = np.exp(_normalized(scores))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def row_losses(scores: Array, targets: Array) -> Array:
    """Return the log loss of each row."""
    if scores.ndim == 1:
        return logistic_loss(scores, targets)
    identity = scaled_by(1.0, scores.shape[1])
    return softmax_terms(scores, targets, identity, by_row=("loss",)).by_row["loss"]
