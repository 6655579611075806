"""What the objects for the libraries need to know of an objective, and how the libraries pass labels and weights."""

from importlib import import_module
from typing import Any, Protocol

import numpy as np

from crossentropy._engine.softmax.hessian import RowHessians

__all__ = ["ClassesObjective", "Objective", "labels_and_weight", "require"]


class Objective(Protocol):
    """A loss of scores, its derivatives, and the score to start from."""

    def derivatives(
        self, scores: Any, labels: Any, sample_weight: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the gradient and the diagonal of the Hessian of the weighted losses."""
        ...

    def loss(self, scores: Any, labels: Any, sample_weight: Any = None) -> float:
        """Compute the weighted mean of the losses."""
        ...

    def log_loss(self, scores: Any, labels: Any, sample_weight: Any = None) -> float:
        """Compute the weighted mean of plain cross-entropy."""
        ...

    def base_score(self, labels: Any, sample_weight: Any = None) -> Any:
        """Compute the constant score to start from."""
        ...

    def probabilities(self, scores: Any) -> np.ndarray:
        """Compute probabilities from scores."""
        ...


class ClassesObjective(Objective, Protocol):
    """One of several classes, whose Hessian is not diagonal."""

    @property
    def row_hessians(self) -> RowHessians:
        """What computes the derivatives of rows, by the number of classes."""
        ...


def labels_and_weight(data: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the labels and the weights of rows; `data` is a library's data set, or the labels themselves."""
    if not hasattr(data, "get_label"):
        return np.asarray(data), sample_weight
    weight = data.get_weight()  # without weights XGBoost has an empty array, LightGBM None
    return np.asarray(data.get_label()), None if weight is None or not len(weight) else np.asarray(weight)


def require(library: str) -> None:
    """Import a library, or say how to install it."""
    try:
        import_module(library)
    except ImportError as error:
        raise ImportError(
            f'{library} is not installed; install it with pip install "crossentropy[{library}]"'
        ) from error
