"""Objectives and metrics as XGBoost takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from crossentropy.boosting._protocol import Objective, labels_and_weight, require

__all__ = ["XGBoostMetric", "XGBoostObjective"]


class XGBoostMetric:
    """A metric for ``xgboost.train(custom_metric=)``, and for ``eval_metric=`` of XGBoost's estimators.

    It is a weighted mean over rows, of raw scores: XGBoost passes these if the objective is not its own.
    """

    def __init__(self, name: str, mean: Callable[..., float]) -> None:
        self.__name__, self.mean = name, mean

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[str, float] | float:
        """Compute the metric of ``(scores, DMatrix)``, with its name, or of ``(labels, scores, sample_weight)``."""
        value = self.mean(*_rows(first, second, sample_weight))
        return (self.__name__, value) if hasattr(second, "get_label") else value


class XGBoostObjective:
    """An objective for ``xgboost.train(obj=)``, and for ``objective=`` of XGBoost's estimators.

    XGBoost does not multiply the derivatives of a custom objective by the weights of the rows, so this object does. For
    several classes it multiplies the Hessian by 2, as XGBoost's own objective does.

    Attributes
    ----------
    loss, log_loss : XGBoostMetric
        The weighted means of the loss and of plain cross-entropy.
    """

    def __init__(self, objective: Objective, built_in: str, hessian_factor: float) -> None:
        require("xgboost")
        self.objective, self.built_in, self.hessian_factor = objective, built_in, hessian_factor
        self.loss = XGBoostMetric("loss", objective.loss)
        self.log_loss = XGBoostMetric("log_loss", objective.log_loss)

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Compute gradient and Hessian of ``(scores, DMatrix)``, or of ``(labels, scores, sample_weight)``."""
        gradient, hessian = self.objective.derivatives(*_rows(first, second, sample_weight))
        return gradient, hessian if self.hessian_factor == 1 else self.hessian_factor * hessian

    def base_score(self, labels: Any, sample_weight: Any = None) -> Any:
        """Compute the parameter ``base_score``: a probability of "yes", or a list of the scores of the classes."""
        score = self.objective.base_score(labels, sample_weight)
        if self.built_in == "binary:logistic":
            score = self.objective.probabilities(score)
        return np.asarray(score).tolist()

    def params(self, labels: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Make the parameters that belong to ``xgboost.train(params, data, obj=)`` with this objective.

        The objective that they name tells XGBoost how to predict: probabilities.
        """
        score = self.base_score(labels, sample_weight)
        several = {} if self.built_in == "binary:logistic" else {"num_class": len(score)}
        return {
            "objective": self.built_in,
            "base_score": score,
            "disable_default_eval_metric": True,
            **several,
        }


def _rows(first: Any, second: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return scores, labels and weights, whichever way they were passed."""
    scores, data = (first, second) if hasattr(second, "get_label") else (second, first)
    labels, weight = labels_and_weight(data, sample_weight)
    several = (
        labels.ndim == 1 and labels.size == scores.size
    )  # a DMatrix flattens the labels of several questions
    return scores, labels.reshape(scores.shape) if several else labels, weight
