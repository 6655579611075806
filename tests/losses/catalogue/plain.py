"""Plain formulas in NumPy float64 that the truths are written with: SciPy's, and nothing of the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

__all__ = [
    "bce",
    "chosen",
    "entropy",
    "expit",
    "log_expit",
    "log_other",
    "log_softmax",
    "logsumexp",
    "masses",
    "one_hot",
    "rows_of",
    "softmax",
]


def rows_of(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """The place of every row's label."""
    return np.arange(len(labels)), np.asarray(labels)


def one_hot(labels: Any, classes: int) -> np.ndarray:
    return np.eye(classes)[np.asarray(labels)]


def masses(labels: Any, classes: int) -> np.ndarray:
    """Labels as a mass for every class, which soft ones are already."""
    return labels if np.ndim(labels) == 2 else one_hot(labels, classes)


def chosen(u: np.ndarray, labels: Any) -> np.ndarray:
    """log p of each row's label."""
    return -np.logaddexp(0.0, log_odds_against(u, labels))


def log_other(u: np.ndarray, labels: Any) -> np.ndarray:
    """log(1 − p) of each row's label."""
    return -np.logaddexp(0.0, -log_odds_against(u, labels))


def log_odds_against(u: np.ndarray, labels: Any) -> np.ndarray:
    """ln Σ over the other classes, less the label's own logit: exact where p is nearly 1."""
    at = rows_of(labels)
    others = np.array(u, dtype=np.float64)
    others[at] = -np.inf
    return logsumexp(others, axis=-1) - u[at]


def entropy(u: np.ndarray) -> np.ndarray:
    log_p = log_softmax(u, axis=-1)
    p = np.exp(log_p)
    return -np.sum(np.where(p > 0, p * np.where(p > 0, log_p, 0.0), 0.0), axis=-1)


def bce(z: np.ndarray, t: Any) -> np.ndarray:
    """−t log σ(z) − (1 − t) log(1 − σ(z)), a term of no mass being nothing."""
    t = np.asarray(t, dtype=np.float64)
    yes, no = np.where(t > 0, -log_expit(z), 0.0), np.where(t < 1, -log_expit(-z), 0.0)
    return t * yes + (1 - t) * no
