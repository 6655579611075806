"""Scores of predicted probabilities, of all rows and of each class, and those of the baseline."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from crossentropy.losses import log_loss

NORMAL_QUANTILE = (
    1.959963984540054  # between −1.96 and 1.96 standard errors lie 95 % of a normal distribution
)


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class against all others.

    Attributes
    ----------
    rows : int
        Rows with this label.
    recall : float
        Share of these rows whose most probable class is this one; NaN without rows, as is `average_precision`.
    precision : float
        Share with this label of the rows whose most probable class is this one; NaN if there are none.
    average_precision : float
        Area under the precision-recall curve of the probability of this class. The baseline's is the class's share of
        the rows.
    """

    rows: int
    recall: float
    precision: float
    average_precision: float


@dataclass(frozen=True)
class Scores:
    """The scores of predictions on some rows.

    Attributes
    ----------
    nats : float
        Log loss, the mean of minus the log-probability of the label; NaN without rows, as are the other scores.
    accuracy : float
        Share of the rows whose most probable class is the label.
    standard_error : float
        Of `nats`: the standard deviation of a row's loss over the root of the number of rows.
    classes : tuple of ClassScores
        In the order of the classes.
    """

    nats: float
    accuracy: float
    standard_error: float = math.nan
    classes: tuple[ClassScores, ...] = ()

    @property
    def bits(self) -> float:
        """Log loss in bits."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely classes that would be as hard to guess: exp of the log loss."""
        return math.inf if self.nats >= 709 else math.exp(self.nats)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the log loss in nats, from its standard error."""
        half = NORMAL_QUANTILE * self.standard_error
        return max(self.nats - half, 0.0), self.nats + half

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have rows."""
        return _mean(scores.recall for scores in self.classes)

    @property
    def average_precision(self) -> float:
        """The mean average precision of the classes that have rows."""
        return _mean(scores.average_precision for scores in self.classes)


def score(log_probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Score log-probabilities (rows, classes) against labels (rows,)."""
    nats = float(log_loss(labels=labels, log_probabilities=log_probabilities))
    right = log_probabilities.argmax(axis=1) == labels
    return Scores(nats, float(right.mean()) if len(labels) else math.nan)


def score_classes(log_probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Score log-probabilities (rows, classes) against labels (rows,), with a standard error and scores by class."""
    scores = score(log_probabilities, labels)
    n, C = log_probabilities.shape
    losses = -log_probabilities[np.arange(n), labels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without rows, whose scores are NaN here
        error = float(losses.std(ddof=1) / math.sqrt(n)) if n > 1 and np.isfinite(losses).all() else math.nan
        precision, recall, _, rows = precision_recall_fscore_support(
            labels, log_probabilities.argmax(axis=1), labels=np.arange(C), zero_division=np.nan
        )
    classes = tuple(
        ClassScores(
            int(rows[c]),
            float(recall[c]) if rows[c] else math.nan,
            float(precision[c]),
            float(average_precision_score(labels == c, log_probabilities[:, c])) if rows[c] else math.nan,
        )
        for c in range(C)
    )
    return Scores(scores.nats, scores.accuracy, error, classes)


def score_frequencies(frequencies: np.ndarray, labels: np.ndarray) -> Scores:
    """Score the baseline that predicts the same `frequencies` of the classes for every row."""
    return score_classes(np.broadcast_to(np.log(frequencies), (len(labels), len(frequencies))), labels)


def _mean(values: Iterable[float]) -> float:
    """Average the values that are no NaN; NaN if there are none."""
    present = [x for x in values if not math.isnan(x)]
    return math.fsum(present) / len(present) if present else math.nan
