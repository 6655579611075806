"""Cross-entropy for scikit-learn: a classifier that is trained with any loss of this package, scores and scorers."""

try:
    import sklearn as _sklearn  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.sklearn needs scikit-learn and PyTorch; install them with pip install "crossentropy[sklearn]"'
    ) from error

from crossentropy.sklearn._trainer import DivergenceError, Epoch
from crossentropy.sklearn.classifier import CrossEntropyClassifier
from crossentropy.sklearn.metrics import brier_score, brier_skill, calibration_error, log_loss, log_loss_skill
from crossentropy.sklearn.scorers import (
    ProbabilityScorer,
    brier_skill_scorer,
    log_loss_skill_scorer,
    neg_brier_score_scorer,
    neg_calibration_error_scorer,
    neg_log_loss_scorer,
)

__all__ = [
    "CrossEntropyClassifier",
    "DivergenceError",
    "Epoch",
    "ProbabilityScorer",
    "brier_score",
    "brier_skill",
    "brier_skill_scorer",
    "calibration_error",
    "log_loss",
    "log_loss_skill",
    "log_loss_skill_scorer",
    "neg_brier_score_scorer",
    "neg_calibration_error_scorer",
    "neg_log_loss_scorer",
]


def __dir__() -> list[str]:
    return sorted(__all__)
