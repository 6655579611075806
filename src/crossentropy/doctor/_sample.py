"""Rows of predictions and their labels, as every check reads them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from crossentropy.losses.log_loss import binary_log_loss, log_loss
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.losses.target_statistics import target_statistics

__all__ = ["Array", "Sample", "is_half", "make_sample"]

Array = np.ndarray[Any, Any]
#: The most numbers that checks of chance read; more rows are thinned out, evenly.
MOST = 1 << 23


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that are not ignored, class axis last, in float64.

    Attributes
    ----------
    kind : {"logits", "probabilities", "log_probabilities"}
        What the predictions are declared to be.
    x : array (n, C), or (n, C) of C yes-or-no questions
    labels : int64 array (n,); float64 array (n, C) of yes-or-no questions
    sigmoid : bool
        Whether the columns are yes-or-no questions.
    places : int64 array (n,)
        Where each row stands among all rows.
    grid : int array
        All labels as they were passed.
    ignore_index : int or None
    half : str
        The half-precision dtype of the predictions, if it was one.
    """

    kind: str
    x: Array
    labels: Array
    sigmoid: bool
    places: Array
    grid: Array
    ignore_index: int | None
    half: str = ""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> int:
        """The number of columns."""
        return int(self.x.shape[1])

    @property
    def in_range(self) -> Array:
        """Which rows have one of the classes for their label; of questions, all."""
        if self.sigmoid:
            return np.ones(len(self), bool)
        return np.asarray((self.labels >= 0) & (self.labels < self.classes))

    def take(self, rows: Array) -> "Sample":
        """Return some of the rows."""
        return replace(self, x=self.x[rows], labels=self.labels[rows], places=self.places[rows])

    def read_as(self, kind: str, x: Array | None = None) -> "Sample":
        """Return the rows as predictions of another kind."""
        return replace(self, kind=kind, x=self.x if x is None else x)

    def losses_of(self, labels: Array, x: Array | None = None) -> Array:
        """Return the loss of each row under these labels; of questions (n, C)."""
        x = self.x if x is None else x
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if self.kind == "logits":
                loss = sigmoid_cross_entropy if self.sigmoid else softmax_cross_entropy
                return np.asarray(loss(x, labels, reduction="none"))
            x = np.exp(x) if self.kind == "log_probabilities" else x
            score = binary_log_loss if self.sigmoid else log_loss
            return np.asarray(score(x, labels, reduction="none", validate="none"))

    def losses_of_classes(self) -> Array:
        """Return the loss of each row under each class, (n, C)."""
        with np.errstate(divide="ignore"):
            log_probs = np.log(self.x) if self.kind == "probabilities" else self.x
        if self.kind == "logits":
            log_probs = log_probs - target_statistics(self.x, self.labels).logsumexp[:, None]
        return -log_probs

    @cached_property
    def losses(self) -> Array:
        """The loss of each row; of questions (n, C)."""
        return self.losses_of(self.labels)

    @cached_property
    def loss(self) -> float:
        """The mean loss, in nats."""
        return float(self.losses.mean()) if self.losses.size else 0.0

    @cached_property
    def frequencies(self) -> Array:
        """How frequent each class is; of questions, each yes."""
        if self.sigmoid:
            return np.asarray(self.labels.mean(axis=0))
        return np.bincount(self.labels, minlength=self.classes) / max(1, len(self))

    @cached_property
    def base_losses(self) -> Array:
        """The loss of each row if the frequencies are predicted."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self.sigmoid:
                return np.asarray(-np.log(self.frequencies)[self.labels])
            f, t = self.frequencies, self.labels
            return np.asarray(
                -(np.where(t > 0, t * np.log(f), 0) + np.where(t < 1, (1 - t) * np.log1p(-f), 0))
            )

    @cached_property
    def entropy(self) -> float:
        """The entropy of the label frequencies: the loss of predicting them always. In nats."""
        return float(self.base_losses.mean()) if len(self) else 0.0


def is_half(x: Any) -> str:
    """Return the name of the dtype of an array if it is one of half precision, else an empty text."""
    name = str(getattr(x, "dtype", "")).removeprefix("torch.")
    return name if name in ("float16", "bfloat16") else ""


def make_sample(
    kind: str, x: Array, labels: Array, *, axis: int, ignore_index: int | None, sigmoid: bool, half: str = ""
) -> Sample:
    """Return the rows that are not ignored; the shapes fit."""
    if sigmoid:
        columns = x.reshape(-1, 1) if x.ndim == 1 else np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
        truths = labels.reshape(-1, 1) if x.ndim == 1 else np.moveaxis(labels, axis, -1)
        truths = truths.reshape(columns.shape).astype(np.float64)
        kept = np.arange(len(columns))
        flat: Sequence[Array] = (columns, truths)
    else:
        rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
        flat = (rows, labels.reshape(-1).astype(np.int64))
        kept = np.arange(len(rows)) if ignore_index is None else np.flatnonzero(flat[1] != ignore_index)
    step = max(1, -(-len(kept) * flat[0].shape[1] // MOST))
    kept = kept[::step]
    return Sample(
        kind, flat[0][kept].astype(np.float64), flat[1][kept], sigmoid, kept, labels, ignore_index, half
    )
