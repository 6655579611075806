"""From inputs to scores, probabilities and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from crossentropy._loss_expressions.objective import LogitTransform
from crossentropy.sklearn._arguments import in_words
from crossentropy.sklearn._network import logits_in_double

__all__ = ["PredictionMixin"]


class PredictionMixin:
    """Predictions of a classifier with a network and the transform of its logits."""

    classes_: np.ndarray
    network_: nn.Sequential
    class_weight_: np.ndarray
    correct_weights: bool
    _transform: LogitTransform

    def decision_function(self, X: Any) -> np.ndarray:
        """Compute the scores whose softmax is the probabilities.

        Returns
        -------
        ndarray (rows, C), or (rows,) for two classes
            Logits, after the temperature and the softcap of the loss; for two classes the log-odds of the second one in
            nats; float64.
        """
        logits = self._logits(X)
        scores = self._final_transform().scores(logits)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable labels, the first one where several are.

        Returns
        -------
        ndarray (rows,)
            Of the dtype of `classes_`.
        """
        logits = self._logits(X)
        return self.classes_[self._final_transform().scores(logits).argmax(axis=1)]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Compute the logarithms of the probabilities.

        Returns
        -------
        ndarray (rows, C)
            In nats, float64; that of a nearly certain class keeps its digits.
        """
        logits = self._logits(X)
        return self._final_transform().log_probabilities(logits)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Compute the probabilities of the classes.

        Returns
        -------
        ndarray (rows, C)
            Dimensionless, float64; a row sums to 1.
        """
        return np.exp(self.predict_log_proba(X))

    def _final_transform(self) -> LogitTransform:
        """Return the transform from logits to probabilities, without the weights of the classes if asked."""
        if not self.correct_weights:
            return self._transform
        if not (self.class_weight_ > 0).all():
            label = in_words(self.classes_[[self.class_weight_.argmin()]])
            raise ValueError(
                f"correct_weights is True, and the weight of class {label} is {self.class_weight_.min():g}; its "
                "logarithm is subtracted, so it must be positive"
            )
        return replace(self._transform, offset=tuple(np.log(self.class_weight_).tolist()))

    def _logits(self, X: Any) -> np.ndarray:
        """Compute the network's logits (rows, C), float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return logits_in_double(self.network_, torch.from_numpy(np.require(X, requirements="W"))).numpy()
