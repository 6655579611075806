"""Objectives and metrics as LightGBM takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from crossentropy.boosting._protocol import Objective, labels_and_weight, require

__all__ = ["LightGBMMetric", "LightGBMObjective"]


class LightGBMMetric:
    """A metric for ``lightgbm.train(feval=)``, and for ``eval_metric=`` in `fit` of LightGBM's estimators.

    It is a weighted mean over rows, of raw scores: LightGBM passes these if the objective is not its own.
    """

    def __init__(self, name: str, mean: Callable[..., float]) -> None:
        self.__name__, self.mean = name, mean

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[str, float, bool]:
        """Compute the metric of ``(scores, Dataset)``, or of ``(labels, scores, sample_weight)``; less is better."""
        return self.__name__, self.mean(*_rows(first, second, sample_weight)), False


class LightGBMObjective:
    """An objective for ``params["objective"]`` of LightGBM, and for ``objective=`` of its estimators.

    LightGBM does not multiply the derivatives of a custom objective by the weights of the rows, so this object does.
    For ``C`` classes it multiplies the Hessian by ``C / (C − 1)``, as LightGBM's own objective does.

    LightGBM starts a custom objective from 0: pass `init_score` to the data set or to `fit`, and add `base_score` to
    the raw scores that the model predicts.

    Attributes
    ----------
    loss, log_loss : LightGBMMetric
        The weighted means of the loss and of plain cross-entropy.
    """

    def __init__(self, objective: Objective, *, has_classes: bool) -> None:
        require("lightgbm")
        self.objective, self.has_classes = objective, has_classes
        self.loss = LightGBMMetric("loss", objective.loss)
        self.log_loss = LightGBMMetric("log_loss", objective.log_loss)

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Compute gradient and Hessian of ``(scores, Dataset)``, or of ``(labels, scores, sample_weight)``."""
        gradient, hessian = self.objective.derivatives(*_rows(first, second, sample_weight))
        if self.has_classes:
            C = hessian.shape[1]
            hessian *= C / (C - 1)
        return gradient, hessian

    def init_score(self, labels: Any, sample_weight: Any = None) -> np.ndarray:
        """Compute ``init_score`` of a data set, the objective's `base_score` for every row."""
        score = self.objective.base_score(labels, sample_weight)
        return np.broadcast_to(score, (len(labels), *score.shape)).copy()


def _rows(first: Any, second: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return scores, labels and weights, whichever way they were passed."""
    scores, data = (first, second) if hasattr(second, "get_label") else (second, first)
    return np.ascontiguousarray(scores), *labels_and_weight(data, sample_weight)
