"""What one row contributes to every score, by the native kernels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import CODES, NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import KINDS, Declaration
from crossentropy.evaluation._exact import UNIT, ExactSum

__all__ = [
    "BOUNDED",
    "CLASSWISE",
    "POWERS",
    "RowScorer",
    "RowScores",
    "fixed_sums",
    "logistic_loss",
    "native_matrix",
    "surprisal",
]

Array = np.ndarray[Any, Any]

#: Up to so many classes, calibration is kept for each of them.
CLASSWISE = 100
#: Powers of p, renormalized, whose loss is kept for more than two classes; that of 1 is the loss itself.
POWERS = (0.25, 0.5, 2.0)
#: Bounded quantities, which are summed in units of 2⁻⁴⁸ where rows have no weights.
BOUNDED = ("entropy", "variance", "brier", "brier_excess", "brier_variance", "correct")
POWER_NAMES = tuple(f"power_{power}_{order}" for power in POWERS for order in range(3))
UNITS = 48
CLIPPED_AT = 1e-15  # by Kaggle and by Spark
LOSS_NEXT_TO_0 = 1.0000000000000007e-15  # Spark's −log1p(−1e-15)


@dataclass(frozen=True, eq=False, slots=True)
class RowScores:
    """Float64 arrays (n,) of a batch of rows; see ``native/evaluation/row_scores.hpp`` for the formulas.

    Where rows have no weights, only sums are needed of what is bounded, and most arrays are None.
    """

    loss: Array
    #: Of the positive class if there are two, else of the most probable one; and 1 minus it, if it is known better.
    probability: Array
    complement: Array | None
    #: The arrays of `BOUNDED` and `POWER_NAMES` that are there.
    bounded: dict[str, Array]
    #: Their sums, where rows have no weights.
    sums: dict[str, ExactSum] | None
    #: Classes that are more probable than the label, for more than two.
    rank: Array | None = None
    #: (C, n), for up to `CLASSWISE` classes.
    probabilities: Array | None = None


class RowScorer:
    """Scores batches of rows in memory that it uses again: one result lives at a time."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.columns = 1 if declaration.one_column else len(declaration.classes)
        self._made: dict[str, Array] = {}

    def __call__(self, batch: Batch) -> RowScores:
        """Score a batch."""
        batch = batch.wide()
        d, n = self.declaration, len(batch)
        if d.one_column or (d.kind == "logits" and d.is_binary):
            scores = self._binary(*self.one_column(batch), n)
        else:
            scores = self._matrix(batch.predictions, batch.labels, n)
        if d.clip is not None:
            np.copyto(scores.loss, clipped_loss(d.clip, batch.predictions, batch.labels))
        return scores

    def one_column(self, batch: Batch) -> tuple[Array, Array]:
        """Return predictions and labels of two classes as one column; two columns of logits become their difference."""
        x, labels = batch.predictions, batch.labels
        if self.declaration.one_column:
            return x, labels
        return _difference(x), labels if labels.ndim == 1 else np.ascontiguousarray(labels[:, 1])

    def key(self, batch: Batch, probability: Array) -> Array:
        """Return what a prediction of two classes is told apart by, increasing with the probability; float64."""
        x = batch.predictions
        if self.declaration.one_column:
            return x.astype(np.float64) + 0.0  # −0 becomes 0
        if self.declaration.kind == "logits":
            return _difference(x) + 0.0
        return probability

    def room(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """Make an array without values, in memory that is used again under this name."""
        size = int(np.prod(shape))
        if name not in self._made or self._made[name].size < size:
            self._made[name] = np.empty(size, dtype)
        return self._made[name][:size].reshape(shape)

    def outputs(self, n: int, names: Sequence[str]) -> tuple[dict[str, Array], list[int]]:
        """Make the arrays that are needed, and the addresses of all that there could be, 0 for those that are not."""
        out = dict(zip(names, self.room("scores", (len(names), n)), strict=True))
        order = ("loss", *BOUNDED, "probability", "complement")
        return out, [NumpyMemory.address(out[name]) if name in out else 0 for name in order]

    def bounded_names(self) -> tuple[str, ...]:
        """Return what is bounded and needed row by row."""
        d = self.declaration
        if d.weighted:
            return BOUNDED
        needed = {"correct"} if d.slices or not d.is_binary else set()
        needed |= {"brier"} if d.slices else set()
        needed |= {"entropy", "brier_excess"} if d.clustered else set()
        return tuple(name for name in BOUNDED if name in needed)

    def _binary(self, x: Array, labels: Array, n: int) -> RowScores:
        names = self.bounded_names()
        out, addresses = self.outputs(n, ("loss", "probability", "complement", *names))
        fixed = np.zeros((len(BOUNDED), 2), np.int64)
        weighted = self.declaration.weighted
        _native.binary_scores(
            NumpyMemory.address(x),
            CODES[x.dtype],
            KINDS.index(self.declaration.kind),
            NumpyMemory.address(labels),
            self.declaration.soft,
            n,
            addresses,
            0 if weighted else NumpyMemory.address(fixed),
        )
        return RowScores(
            out["loss"],
            out["probability"],
            out["complement"],
            {name: out[name] for name in names},
            None if weighted else fixed_sums(BOUNDED, fixed),
        )

    def _matrix(self, x: Array, labels: Array, n: int) -> RowScores:
        classes, many, weighted = self.columns, self.columns > 2, self.declaration.weighted
        names = self.bounded_names()
        out, addresses = self.outputs(n, ("loss", "probability", *names))
        rank = self.room("rank", (n,), np.int64)
        p = self.room("probabilities", (classes, n)) if classes <= CLASSWISE else None
        powers = self.room("powers", (len(POWER_NAMES), n)) if many and weighted else None
        fixed = np.zeros((len(BOUNDED) + len(POWER_NAMES), 2), np.int64)
        _native.matrix_scores(
            native_matrix(x),
            KINDS.index(self.declaration.kind),
            NumpyMemory.address(labels),
            self.declaration.soft,
            addresses,
            NumpyMemory.address(rank),
            0 if p is None else NumpyMemory.address(p),
            0 if powers is None else NumpyMemory.address(powers),
            0 if weighted else NumpyMemory.address(fixed),
        )
        bounded = {name: out[name] for name in names}
        sums = None if weighted else fixed_sums(BOUNDED + POWER_NAMES, fixed)
        if many:
            if powers is not None:
                bounded |= dict(zip(POWER_NAMES, powers, strict=True))
            return RowScores(out["loss"], out["probability"], None, bounded, sums, rank, p)
        _halve(bounded, sums)
        assert p is not None  # for type checkers
        return RowScores(out["loss"], p[1], None, bounded, sums)


def native_matrix(x: Array) -> _native.Matrix:
    """Describe predictions (n, C) to the kernels; the array must live as long."""
    return _native.Matrix(NumpyMemory.address(x), CODES[x.dtype], *x.shape, *NumpyMemory.strides(x))


def fixed_sums(names: Sequence[str], fixed: Array) -> dict[str, ExactSum]:
    """Return sums in units of 2⁻⁴⁸, given as high and low parts."""
    totals = [(high << 32) + low for high, low in fixed.tolist()]
    return {name: ExactSum(total << (UNIT - UNITS)) for name, total in zip(names, totals, strict=True)}


def _halve(bounded: dict[str, Array], sums: dict[str, ExactSum] | None) -> None:
    """Turn Brier scores of both of two classes into that of the positive one."""
    for name, bits in (("brier", 1), ("brier_excess", 1), ("brier_variance", 2)):
        if name in bounded:
            bounded[name] *= 0.5**bits
        if sums is not None:
            sums[name] = ExactSum(sums[name].scaled >> bits)


def _difference(x: Array) -> Array:
    """Return the logit of the second of two classes."""
    return np.subtract(x[:, 1], x[:, 0], dtype=np.float64)


def surprisal(p: Array) -> Array:
    """Return −log p of probabilities (n,), with the bits it has in a loss: NumPy's depend on the processor.

    >>> surprisal(np.asarray([1.0, 0.5, 0.0])).tolist()
    [0.0, 0.6931471805599453, inf]
    """
    return _loss_of(p, np.ones(len(p), np.int64), "proba")


def logistic_loss(z: Array, targets: Array) -> Array:
    """Return the log loss of log-odds (n,), of labels (int64) or of masses of the positive class (float64).

    >>> logistic_loss(np.asarray([0.0, -1000.0]), np.asarray([1, 1])).tolist()
    [0.6931471805599453, 1000.0]
    """
    return _loss_of(z, targets, "logits")


def _loss_of(x: Array, targets: Array, kind: str) -> Array:
    x, targets = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(targets)
    loss, address = np.empty(len(x)), NumpyMemory.address
    where = (
        address(x),
        CODES[x.dtype],
        KINDS.index(kind),
        address(targets),
        targets.dtype.kind == "f",
        len(x),
    )
    _native.binary_scores(*where, [address(loss), *[0] * 8], 0)
    return loss


def clipped_loss(clip: str, p: Array, labels: Array) -> Array:
    """Compute the loss of each row as another tool clips it.

    - "sklearn": ``p`` to [ε, 1 − ε], ε the machine epsilon of its dtype, and the logarithm rounded to that dtype, as
      `sklearn.metrics.log_loss` since 1.5 (which then adds float32 losses in float32);
    - "kaggle": ``max(min(p, 1 − 1e-15), 1e-15)``, of rows that `make_batch` has divided by their sum;
    - "spark": ``−ln 1e-15`` below 1e-15, ``−log1p(−1e-15)`` above ``1 − 1e-15``, as
      `MulticlassClassificationEvaluator(metricName="logLoss")`.
    """
    own = np.where(labels == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(p)), labels]
    if clip == "sklearn":
        eps = np.finfo(p.dtype).eps
        return surprisal(np.clip(own, eps, 1 - eps)).astype(p.dtype).astype(np.float64)
    own = own.astype(np.float64)
    loss = surprisal(np.clip(own, CLIPPED_AT, 1 - CLIPPED_AT))
    return np.where(own > 1 - CLIPPED_AT, LOSS_NEXT_TO_0, loss) if clip == "spark" else loss
