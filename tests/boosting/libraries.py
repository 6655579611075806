"""Small data, and each library's trees grown from it: by its own objective, and by one of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossentropy.boosting import SigmoidObjective, SoftmaxObjective

ROUNDS = 5
XGBOOST = {"nthread": 2, "max_depth": 3, "eta": 0.3, "verbosity": 0}
LIGHTGBM = {"num_threads": 2, "max_depth": 3, "learning_rate": 0.3, "verbose": -1}
CATBOOST = {
    "iterations": ROUNDS,
    "learning_rate": 0.3,
    "depth": 3,
    "thread_count": 2,
    "verbose": 0,
    "allow_writing_files": False,
    "bootstrap_type": "No",
    "boosting_type": "Plain",
    "score_function": "L2",
    "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1,
}


def table(classes: int, rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, noisy labels of unequal frequency, and weights."""
    rng = np.random.default_rng(classes)
    X = rng.normal(size=(rows, 5)).astype(np.float32)
    scores = X @ rng.normal(size=(5, classes)) + rng.gumbel(size=(rows, classes)) + np.arange(classes) / 2
    return X, scores.argmax(axis=1), rng.uniform(0.5, 2.0, size=rows)


def is_binary(objective: Any) -> bool:
    return isinstance(objective, SigmoidObjective)


OBJECTIVES = {"binary": (SigmoidObjective(), 2), "classes": (SoftmaxObjective(), 3)}
each_plain = pytest.mark.parametrize(("objective", "classes"), OBJECTIVES.values(), ids=OBJECTIVES)


def xgboost_scores(
    objective: Any, X: Any, y: Any, weight: Any, test: Any, rounds: int = ROUNDS
) -> np.ndarray:
    """Raw scores of `test` by XGBoost's trees."""
    xgb = pytest.importorskip("xgboost")
    own = objective.xgboost
    data = xgb.DMatrix(X, y, weight=weight)
    booster = xgb.train(own.params(y, weight) | XGBOOST, data, rounds, obj=own)
    return booster.predict(xgb.DMatrix(test), output_margin=True)


def lightgbm_scores(
    objective: Any, X: Any, y: Any, weight: Any, test: Any, rounds: int = ROUNDS
) -> np.ndarray:
    """Raw scores of `test` by LightGBM's trees."""
    lgb = pytest.importorskip("lightgbm")
    own = objective.lightgbm
    data = lgb.Dataset(X, y, weight=weight, init_score=own.init_score(y, weight), params=LIGHTGBM)
    several = {} if is_binary(objective) else {"num_class": len(objective.base_score(y))}
    booster = lgb.train({"objective": own, **several} | LIGHTGBM, data, rounds)
    return booster.predict(test) + objective.base_score(y, weight)


def catboost_scores(
    objective: Any, X: Any, y: Any, weight: Any, test: Any, rounds: int = ROUNDS
) -> np.ndarray:
    """Raw scores of `test` by CatBoost's trees."""
    cat = pytest.importorskip("catboost")
    own = objective.catboost
    several = {} if is_binary(objective) else {"classes_count": len(objective.base_score(y))}
    settings = CATBOOST | {"loss_function": own, "eval_metric": own.loss, "iterations": rounds, **several}
    pool = cat.Pool(X, y, weight=weight)
    return cat.CatBoost(settings).fit(pool).predict(test, prediction_type="RawFormulaVal")


SCORES = {"xgboost": xgboost_scores, "lightgbm": lightgbm_scores, "catboost": catboost_scores}
each_library = pytest.mark.parametrize("library", SCORES)


def scores(library: str, *arguments: Any, **options: Any) -> np.ndarray:
    """Raw scores by a library."""
    return SCORES[library](*arguments, **options)
