"""Objectives and metrics as CatBoost takes them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from crossentropy.boosting._protocol import ClassesObjective, Objective, require

__all__ = ["CatBoostMetric", "ClassesCatBoostObjective", "YesNoCatBoostObjective"]


class CatBoostMetric:
    """A metric for ``eval_metric=`` of CatBoost: a weighted mean over rows, of raw scores."""

    def __init__(self, mean: Callable[..., float]) -> None:
        self.mean = mean

    def is_max_optimal(self) -> bool:
        """Less is better."""
        return False

    def evaluate(self, approxes: Sequence[Any], target: Any, weight: Any) -> tuple[float, float]:
        """Compute the weighted sum of a part of the rows, and the sum of their weights."""
        columns = [np.asarray(x) for x in approxes]
        scores = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
        weight = np.ones(len(scores)) if weight is None else np.asarray(weight)
        total = float(weight.sum())
        return self.mean(scores, np.asarray(target), weight) * total, total

    def get_final_error(self, error: float, weight: float) -> float:
        """Divide the sum by the weights."""
        return error / weight if weight else 0.0


class _CatBoostObjective:
    """What the objectives of yes-or-no questions and of classes have in common."""

    def __init__(self, objective: Objective) -> None:
        require("catboost")
        self.objective: Any = objective
        self.loss, self.log_loss = CatBoostMetric(objective.loss), CatBoostMetric(objective.log_loss)

    def baseline(self, labels: Any, sample_weight: Any = None) -> np.ndarray:
        """Compute the ``baseline`` of a pool, the objective's `base_score` for every row."""
        score = self.objective.base_score(labels, sample_weight)
        return np.broadcast_to(score, (len(labels), *score.shape)).copy()


class YesNoCatBoostObjective(_CatBoostObjective):
    """An objective for ``loss_function=`` of CatBoost, of yes-or-no labels.

    CatBoost goes up: its derivatives are those of the negative loss. It does not multiply them by the weights of the
    rows, so this object does.

    Attributes
    ----------
    loss, log_loss : CatBoostMetric
        The weighted means of the loss and of plain cross-entropy.
    """

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> np.ndarray:
        """Compute the two derivatives of every row, shape (rows, 2)."""
        weights = None if weights is None else np.asarray(weights)
        approxes, targets = np.asarray(approxes, np.float64), np.asarray(targets)
        result = np.empty((len(approxes), 2))
        for column, derivative in enumerate(self.objective.derivatives_of_block(approxes, targets, weights)):
            np.negative(derivative, out=result[:, column])
        return result


class ClassesCatBoostObjective(_CatBoostObjective):
    """An objective for ``loss_function=`` of CatBoost, of several classes; pass ``classes_count=`` to CatBoost as well.

    CatBoost goes up: its derivatives are those of the negative loss. It does not multiply them by the weights of the
    rows, so this object does. It calls Python for every row of every iteration.

    Attributes
    ----------
    loss, log_loss : CatBoostMetric
        The weighted means of the loss and of plain cross-entropy.
    """

    def __init__(self, objective: ClassesObjective) -> None:
        super().__init__(objective)
        self._hessians = objective.row_hessians

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Any:
        """Say what CatBoost lacks: it asks for this if it fits one score a row."""
        raise ValueError(
            "CatBoost fits one score a row; pass it classes_count, the number of classes, or use SigmoidObjective"
        )

    def calc_ders_multi(
        self, approx: Any, target: float, weight: float
    ) -> tuple[list[float], Iterable[list[float]]]:
        """Compute the gradient (C,) and the Hessian (C, C) of one row."""
        return self._hessians[len(approx)].derivatives(approx, target, -weight)
