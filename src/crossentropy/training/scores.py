"""Scores of predicted probabilities, and of the baseline's."""

import math
from dataclasses import dataclass

import numpy as np

from crossentropy.losses import log_loss


@dataclass(frozen=True)
class Scores:
    """The scores of predictions on some rows.

    Attributes
    ----------
    nats : float
        Log loss, the mean of minus the log-probability of the label; NaN without rows, as are the other scores.
    accuracy : float
        Share of the rows whose most probable class is the label.
    """

    nats: float
    accuracy: float

    @property
    def bits(self) -> float:
        """Log loss in bits."""
        return self.nats / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely classes that would be as hard to guess: exp of the log loss."""
        return math.inf if self.nats >= 709 else math.exp(self.nats)


def score(log_probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Score log-probabilities (rows, classes) against labels (rows,)."""
    nats = float(log_loss(labels=labels, log_probabilities=log_probabilities))
    right = log_probabilities.argmax(axis=1) == labels
    return Scores(nats, float(right.mean()) if len(labels) else math.nan)


def score_frequencies(frequencies: np.ndarray, labels: np.ndarray) -> Scores:
    """Score the baseline that predicts the same `frequencies` of the classes for every row."""
    return score(np.broadcast_to(np.log(frequencies), (len(labels), len(frequencies))), labels)
