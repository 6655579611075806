"""Scores of predicted probabilities, of all rows and of each class, and those of the baseline."""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from crossentropy.evaluation import Evaluation, evaluate
from crossentropy.losses import log_loss
from crossentropy.training.labels import Class, class_array

#: How far the probabilities of a network may be from a sum of 1, which is computed in float32.
SUM_TOLERANCE = 1e-3
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
    interval : (float, float)
        The 95 % interval of `nats`, by Student's distribution.
    classes : tuple of ClassScores
        In the order of the classes.
    evaluation : Evaluation, optional
        What these scores are from, and everything else that is known of the predictions.
    """

    nats: float
    accuracy: float
    standard_error: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    classes: tuple[ClassScores, ...] = ()
    evaluation: Evaluation | None = None

    @property
    def bits(self) -> float:
        """Log loss in bits."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely classes that would be as hard to guess: exp of the log loss."""
        return math.inf if self.nats >= 709 else math.exp(self.nats)

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


def score_classes(
    log_probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[Class] | None = None,
    rows: np.ndarray | None = None,
) -> Scores:
    """Evaluate log-probabilities (rows, classes) against labels (rows,), which number the classes.

    Parameters
    ----------
    log_probabilities : array (rows, classes)
    labels : integer array (rows,)
    classes : sequence of labels, optional
        What the classes are called in the evaluation.
    rows : integer array (rows,), optional
        What the rows are called in it.
    """
    names = list(range(log_probabilities.shape[1]) if classes is None else classes)
    evaluation = evaluate(
        labels=class_array(names)[labels],
        log_proba=log_probabilities,
        classes=names,
        key=rows,
        sum_tolerance=SUM_TOLERANCE,
    )
    error, interval = evaluation.standard_error, evaluation.interval
    C = log_probabilities.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without rows, whose scores are NaN here
        precision, recall, _, rows = precision_recall_fscore_support(
            labels, log_probabilities.argmax(axis=1), labels=np.arange(C), zero_division=np.nan
        )
    by_class = tuple(
        ClassScores(
            int(rows[c]),
            float(recall[c]) if rows[c] else math.nan,
            float(precision[c]),
            float(average_precision_score(labels == c, log_probabilities[:, c])) if rows[c] else math.nan,
        )
        for c in range(C)
    )
    return Scores(
        evaluation.log_loss,
        evaluation.accuracy,
        math.nan if error is None else error,
        (math.nan, math.nan) if interval is None else interval,
        by_class,
        evaluation,
    )


def score_frequencies(frequencies: np.ndarray, labels: np.ndarray) -> Scores:
    """Score the baseline that predicts the same `frequencies` of the classes for every row."""
    return score_classes(np.broadcast_to(np.log(frequencies), (len(labels), len(frequencies))), labels)


def _mean(values: Iterable[float]) -> float:
    """Average the values that are no NaN; NaN if there are none."""
    present = [x for x in values if not math.isnan(x)]
    return math.fsum(present) / len(present) if present else math.nan
