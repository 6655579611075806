"""Plain cross-entropy grows the trees of each library's own objective, in all of its interfaces."""

import numpy as np
import pytest
from sklearn.base import clone

from boosting.libraries import CATBOOST, LIGHTGBM, ROUNDS, XGBOOST, each_plain, is_binary, scores, table
from crossentropy.boosting import SigmoidObjective, SoftmaxObjective


def centered(z):
    """Scores without what the softmax does not see."""
    return z if z.ndim == 1 else z - z.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@each_plain
def test_xgboost(objective, classes, weighted):
    xgb = pytest.importorskip("xgboost")
    X, y, weight = table(classes)
    weight = weight if weighted else None
    several = {} if is_binary(objective) else {"num_class": classes}
    data = xgb.DMatrix(X, y, weight=weight)
    built_in = xgb.train({"objective": objective.xgboost.built_in, **several} | XGBOOST, data, ROUNDS)
    found = scores("xgboost", objective, X, y, weight, X)
    expected = built_in.predict(data, output_margin=True)
    np.testing.assert_allclose(centered(found), centered(expected), atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@each_plain
def test_lightgbm(objective, classes, weighted):
    lgb = pytest.importorskip("lightgbm")
    X, y, weight = table(classes)
    weight = weight if weighted else None
    params = (
        {"objective": "binary"} if is_binary(objective) else {"objective": "multiclass", "num_class": classes}
    )
    built_in = lgb.train(params | LIGHTGBM, lgb.Dataset(X, y, weight=weight, params=LIGHTGBM), ROUNDS)
    found = scores("lightgbm", objective, X, y, weight, X)
    np.testing.assert_allclose(found, built_in.predict(X, raw_score=True), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@each_plain
def test_catboost(objective, classes, weighted):
    cat = pytest.importorskip("catboost")
    X, y, weight = table(classes)
    weight = weight if weighted else None
    loss = "Logloss" if is_binary(objective) else "MultiClass"
    built_in = cat.CatBoost(CATBOOST | {"loss_function": loss}).fit(cat.Pool(X, y, weight=weight))
    found = scores("catboost", objective, X, y, weight, X)
    np.testing.assert_allclose(found, built_in.predict(X, prediction_type="RawFormulaVal"), atol=1e-12)


@each_plain
def test_the_estimator_of_xgboost_predicts_the_same_probabilities(objective, classes):
    xgb = pytest.importorskip("xgboost")
    X, y, weight = table(classes)
    own = objective.xgboost
    settings = {"n_estimators": ROUNDS, "max_depth": 3, "learning_rate": 0.3, "n_jobs": 2}
    expected = xgb.XGBClassifier(**settings).fit(X, y, sample_weight=weight).predict_proba(X)
    model = xgb.XGBClassifier(
        objective=own, base_score=own.base_score(y, weight), eval_metric=own.log_loss, **settings
    )
    model = clone(model).fit(X, y, sample_weight=weight, eval_set=[(X, y)], verbose=False)
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)
    unweighted = objective.log_loss(model.predict(X, output_margin=True), y)
    assert model.evals_result()["validation_0"]["log_loss"][-1] == pytest.approx(unweighted, rel=1e-5)


@each_plain
def test_the_estimator_of_lightgbm_predicts_the_same_scores(objective, classes):
    lgb = pytest.importorskip("lightgbm")
    X, y, weight = table(classes)
    own = objective.lightgbm
    settings = {"n_estimators": ROUNDS, "max_depth": 3, "learning_rate": 0.3, "n_jobs": 2, "verbose": -1}
    expected = lgb.LGBMClassifier(**settings).fit(X, y, sample_weight=weight).predict_proba(X)
    model = clone(lgb.LGBMClassifier(objective=own, metric="None", **settings))
    model.fit(X, y, sample_weight=weight, init_score=own.init_score(y, weight))
    found = objective.probabilities(model.predict(X, raw_score=True) + objective.base_score(y, weight))
    np.testing.assert_allclose(found, expected[:, 1] if is_binary(objective) else expected, atol=1e-6)


@each_plain
def test_the_estimator_of_catboost_predicts_the_same_probabilities(objective, classes):
    cat = pytest.importorskip("catboost")
    X, y, weight = table(classes)
    own, several = objective.catboost, {} if is_binary(objective) else {"classes_count": classes}
    loss = "Logloss" if is_binary(objective) else "MultiClass"
    built_in = cat.CatBoostClassifier(**CATBOOST, loss_function=loss).fit(X, y, sample_weight=weight)
    model = cat.CatBoostClassifier(**CATBOOST, loss_function=own, eval_metric=own.log_loss, **several)
    model = model.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict_proba(X), built_in.predict_proba(X), atol=1e-12)
    raw = model.predict(X, prediction_type="RawFormulaVal")
    (reported,) = model.evals_result_["learn"].values()
    assert reported[-1] == pytest.approx(objective.log_loss(raw, y, weight), rel=1e-6)


def test_catboost_without_the_number_of_classes_is_told_to_have_it():
    cat = pytest.importorskip("catboost")
    X, y, _ = table(3, rows=50)
    own = SoftmaxObjective().catboost
    with pytest.raises(cat.CatBoostError, match="pass it classes_count"):
        cat.CatBoost(CATBOOST | {"loss_function": own, "eval_metric": own.loss}).fit(X, y)


def test_several_questions_of_xgboost():
    xgb = pytest.importorskip("xgboost")
    X, y, _ = table(3)
    answers = (y[:, None] == np.arange(3)).astype(np.float32)
    data, objective = xgb.DMatrix(X, answers), SigmoidObjective()
    built_in = xgb.train({"objective": "binary:logistic"} | XGBOOST, data, ROUNDS)
    own = objective.xgboost
    model = xgb.train(own.params(answers) | XGBOOST, data, ROUNDS, obj=own, custom_metric=own.loss)
    np.testing.assert_allclose(model.predict(data), built_in.predict(data), atol=1e-5)


@each_plain
def test_metrics_during_training_are_those_of_the_scores(objective, classes):
    xgb, lgb = pytest.importorskip("xgboost"), pytest.importorskip("lightgbm")
    X, y, weight = table(classes)
    seen: dict = {}
    data = xgb.DMatrix(X, y, weight=weight)
    own = objective.xgboost
    booster = xgb.train(
        own.params(y, weight) | XGBOOST,
        data,
        ROUNDS,
        obj=own,
        custom_metric=own.loss,
        evals=[(data, "train")],
        evals_result=seen,
        verbose_eval=False,
    )
    loss = objective.loss(booster.predict(data, output_margin=True), y, weight)
    assert seen["train"]["loss"][-1] == pytest.approx(loss, rel=1e-5)

    own, seen = objective.lightgbm, {}
    data = lgb.Dataset(X, y, weight=weight, init_score=own.init_score(y, weight), params=LIGHTGBM)
    several = {} if is_binary(objective) else {"num_class": classes}
    booster = lgb.train(
        {"objective": own, **several} | LIGHTGBM,
        data,
        ROUNDS,
        feval=[own.loss, own.log_loss],
        valid_sets=[data],
        callbacks=[lgb.record_evaluation(seen)],
    )
    loss = objective.loss(booster.predict(X) + objective.base_score(y, weight), y, weight)
    assert seen["training"]["loss"][-1] == pytest.approx(loss, rel=1e-9)
    assert seen["training"]["log_loss"][-1] == pytest.approx(loss, rel=1e-9)
