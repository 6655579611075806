"""Cross-entropy for scikit-learn: a classifier that is trained with any loss of this package."""

try:
    import sklearn as _sklearn  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.sklearn needs scikit-learn and PyTorch; install them with pip install "crossentropy[sklearn]"'
    ) from error

from crossentropy.sklearn._trainer import DivergenceError, Epoch
from crossentropy.sklearn.classifier import CrossEntropyClassifier

__all__ = ["CrossEntropyClassifier", "DivergenceError", "Epoch"]


def __dir__() -> list[str]:
    return sorted(__all__)
