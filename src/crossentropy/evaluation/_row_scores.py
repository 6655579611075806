"""What one row contributes to every score, by the native kernels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import CODES, NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import KINDS, Declaration

__all__ = ["CLASSWISE", "POWERS", "RowScorer", "RowScores", "rows_together"]

Array = np.ndarray[Any, Any]

#: Up to so many classes, calibration is kept for each of them.
CLASSWISE = 100
#: Powers of p, renormalized, whose loss is kept for more than two classes; that of 1 is the loss itself.
POWERS = (0.25, 0.5, 2.0, 4.0)
CLIPPED_AT = 1e-15  # by Kaggle and by Spark


@dataclass(frozen=True, eq=False, slots=True)
class RowScores:
    """Float64 arrays (n,) of a batch of rows; see ``native/evaluation/row_scores.hpp`` for the formulas."""

    loss: Array
    entropy: Array
    variance: Array
    brier: Array
    brier_excess: Array
    brier_variance: Array
    correct: Array
    #: Of the positive class if there are two, else of the most probable one; and 1 minus it, if it is known better.
    probability: Array
    complement: Array | None
    #: Classes that are more probable than the label, for more than two.
    rank: Array | None = None
    #: (C, n), for up to `CLASSWISE` classes and more than two.
    probabilities: Array | None = None
    #: (4, 3, n): loss and its derivatives under the powers `POWERS`.
    powers: Array | None = None


def rows_together(classes: int) -> int:
    """Return how many rows to score at once, so that what they need stays in a cache."""
    return max(1024, min(1 << 15, (1 << 18) // classes))


class RowScorer:
    """Scores batches of at most `rows_together` rows, in memory that it uses again: one result lives at a time."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.columns = 1 if declaration.one_column else len(declaration.classes)
        self._made: dict[str, Array] = {}

    def __call__(self, batch: Batch) -> RowScores:
        """Score a batch."""
        d, n, x = self.declaration, len(batch), batch.predictions
        if d.kind == "logits" and d.is_binary and not d.one_column:
            x, labels = _as_one_column(x, batch.labels)
            scores = self._binary(x, labels, n)
        elif d.one_column:
            scores = self._binary(x, batch.labels, n)
        else:
            scores = self._matrix(x, batch.labels, n)
        if d.clip is not None:
            np.copyto(scores.loss, clipped_loss(d.clip, batch.predictions, batch.labels))
        return scores

    def key(self, batch: Batch, scores: RowScores) -> Array:
        """Return what a prediction of two classes is told apart by, increasing with the probability; float64."""
        x = batch.predictions
        if self.declaration.one_column:
            return x.astype(np.float64) + 0.0  # −0 becomes 0
        if self.declaration.kind == "logits":
            return _difference(x) + 0.0
        return scores.probability

    def _room(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        size = int(np.prod(shape))
        if name not in self._made or self._made[name].size < size:
            self._made[name] = np.empty(size, dtype)
        return self._made[name][:size].reshape(shape)

    def _binary(self, x: Array, labels: Array, n: int) -> RowScores:
        out = self._room("scores", (9, n))
        _native.binary_scores(
            NumpyMemory.address(x),
            CODES[x.dtype],
            KINDS.index(self.declaration.kind),
            NumpyMemory.address(labels),
            self.declaration.soft,
            n,
            [NumpyMemory.address(row) for row in out],
            NumpyMemory.threads(),
        )
        return _named(out)

    def _matrix(self, x: Array, labels: Array, n: int) -> RowScores:
        classes, many = self.columns, self.columns > 2
        out = self._room("scores", (9, n))
        rank = self._room("rank", (n,), np.int64)
        p = self._room("probabilities", (classes, n)) if classes <= CLASSWISE else None
        powers = self._room("powers", (len(POWERS), 3, n)) if many else None
        _native.matrix_scores(
            NumpyMemory.address(x),
            CODES[x.dtype],
            KINDS.index(self.declaration.kind),
            NumpyMemory.address(labels),
            self.declaration.soft,
            n,
            classes,
            [NumpyMemory.address(row) for row in out],
            NumpyMemory.address(rank),
            0 if p is None else NumpyMemory.address(p),
            0 if powers is None else NumpyMemory.address(powers),
            NumpyMemory.threads(),
        )
        if many:
            return _named(out, complement=None, rank=rank, probabilities=p, powers=powers)
        assert p is not None  # for type checkers
        out[3:5] *= 0.5  # two classes: the Brier score of the positive one
        out[5] *= 0.25
        return _named(out, probability=p[1], complement=None)


def _named(out: Array, **others: Array | None) -> RowScores:
    """Return the nine arrays that the kernels write, or others in their place."""
    columns: dict[str, Any] = dict(zip(RowScores.__slots__, out, strict=False))
    return RowScores(**columns | others)


def _difference(x: Array) -> Array:
    """Return the logit of the second of two classes."""
    return np.subtract(x[:, 1], x[:, 0], dtype=np.float64)


def _as_one_column(x: Array, labels: Array) -> tuple[Array, Array]:
    """Convert two columns of logits to one, and their soft labels too."""
    return _difference(x), labels if labels.ndim == 1 else np.ascontiguousarray(labels[:, 1])


def clipped_loss(clip: str, p: Array, labels: Array) -> Array:
    """Compute the loss of each row as another tool clips it.

    - "sklearn": ``p`` to [ε, 1 − ε], ε the machine epsilon of its dtype, as `sklearn.metrics.log_loss` since 1.5;
    - "kaggle": rows divided by their sum, then ``max(min(p, 1 − 1e-15), 1e-15)``;
    - "spark": ``−ln 1e-15`` below 1e-15, ``−log1p(−1e-15)`` above ``1 − 1e-15``, as
      `MulticlassClassificationEvaluator(metricName="logLoss")`.
    """
    own = np.where(labels == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(p)), labels]
    if clip == "sklearn":
        eps = np.finfo(p.dtype).eps
        own = np.clip(own, eps, 1 - eps).astype(np.float64)
    else:
        own = own.astype(np.float64)
        if clip == "kaggle" and p.ndim == 2:
            own = own / p.sum(axis=1, dtype=np.float64)
        own = np.clip(own, CLIPPED_AT, 1 - CLIPPED_AT)
    return -np.log(own)
