"""Objectives and metrics for XGBoost, LightGBM and CatBoost: any link, smoothed labels, weights of classes, offsets.

An objective has one object for each library, `xgboost`, `lightgbm` and `catboost`. It is what the library takes as an
objective, in its own signature and in that of its scikit-learn estimators, and has the metrics and the start of the
model in the library's terms. A library is imported when its object is asked for.
"""

from crossentropy.boosting.sigmoid import SigmoidObjective
from crossentropy.boosting.softmax import SoftmaxObjective

__all__ = ["SigmoidObjective", "SoftmaxObjective"]


def __dir__() -> list[str]:
    return sorted(__all__)
