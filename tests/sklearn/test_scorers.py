"""Scorers in scikit-learn's validations and searches, with classes that folds lack."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate

from crossentropy import sklearn as face

X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def shuffled(splits=3):
    return KFold(splits, shuffle=True, random_state=0)


def test_the_log_loss_is_scikit_learns_where_every_fold_has_every_class():
    found = cross_val_score(MODEL, X, NAMES, cv=shuffled(), scoring=face.neg_log_loss_scorer)
    expected = cross_val_score(MODEL, X, NAMES, cv=shuffled(), scoring="neg_log_loss")
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_fold_of_one_class_has_the_loss_of_its_labels():
    """KFold without shuffling: each test fold of iris is one class, and no other fold has it."""
    two = Y < 2
    folds = [(np.arange(100), np.arange(40, 50)), (np.arange(100), np.arange(50, 60))]
    found = cross_val_score(MODEL, X[two], NAMES[two], cv=folds, scoring=face.neg_log_loss_scorer)
    p = clone(MODEL).fit(X[two], NAMES[two]).predict_proba(X[two])
    expected = [np.log(p[40:50, 0]).mean(), np.log(p[50:60, 1]).mean()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    skill = cross_val_score(MODEL, X[two], NAMES[two], cv=folds, scoring=face.log_loss_skill_scorer)
    assert np.isnan(skill).all()


def test_a_class_that_training_lacked_has_no_probability():
    folds = [(np.arange(100), np.arange(95, 105))]
    (found,) = cross_val_score(MODEL, X, Y, cv=folds, scoring=face.neg_log_loss_scorer)
    assert found == -np.inf
    (found,) = cross_val_score(MODEL, X, Y, cv=folds, scoring=face.neg_brier_score_scorer)
    p = np.column_stack([clone(MODEL).fit(X[:100], Y[:100]).predict_proba(X[95:105]), np.zeros(10)])
    assert found == pytest.approx(-((p - np.eye(3)[Y[95:105]]) ** 2).sum(axis=1).mean(), rel=1e-10)


def test_a_search_chooses_by_a_scorer():
    search = GridSearchCV(MODEL, {"C": [1e-3, 1.0]}, scoring=face.neg_log_loss_scorer, cv=shuffled()).fit(
        X, Y
    )
    assert search.best_params_ == {"C": 1.0}


def test_all_scorers_score_at_once_and_more_is_better():
    scorers = {name: getattr(face, name) for name in face.__all__ if name.endswith("_scorer")}
    assert len(scorers) == 5
    good = cross_validate(MODEL, X, Y, cv=shuffled(), scoring=scorers)
    bad = cross_validate(LogisticRegression(C=1e-4), X, Y, cv=shuffled(), scoring=scorers)
    for name in scorers:
        assert good[f"test_{name}"].mean() > bad[f"test_{name}"].mean(), name


def test_weights_count():
    weight = np.where(Y == 2, 3.0, 1.0)
    model = clone(MODEL).fit(X, Y)
    expected = -log_loss(Y, model.predict_proba(X), sample_weight=weight)
    assert face.neg_log_loss_scorer(model, X, Y, sample_weight=weight) == pytest.approx(expected, rel=1e-10)


def test_searches_pass_their_weights_to_scorers():
    scorers = {"ours": face.neg_log_loss_scorer, "sklearn": "neg_log_loss"}
    search = GridSearchCV(MODEL, {"C": [1e-3, 1.0]}, scoring=scorers, refit="ours", cv=shuffled())
    found = search.fit(X, Y, sample_weight=np.where(Y == 2, 3.0, 1.0)).cv_results_
    np.testing.assert_allclose(found["mean_test_ours"], found["mean_test_sklearn"], rtol=1e-10)


def test_metadata_routing_passes_weights_that_the_scorer_asks_for_and_no_others():
    weight = np.where(Y == 2, 3.0, 1.0)

    def scores(scorer):
        model = clone(MODEL).set_fit_request(sample_weight=True)
        call = {"cv": shuffled(), "scoring": scorer, "params": {"sample_weight": weight}}
        return cross_validate(model, X, Y, **call)["test_score"]

    with config_context(enable_metadata_routing=True):
        with pytest.raises(
            UnsetMetadataPassedError, match=r"ProbabilityScorer\('log_loss'\)\.set_score_request"
        ):
            scores(face.neg_log_loss_scorer)
        theirs = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")
        for asks in True, False:
            expected = scores(theirs.set_score_request(sample_weight=asks))
            found = scores(face.neg_log_loss_scorer.set_score_request(sample_weight=asks))
            np.testing.assert_allclose(found, expected, rtol=1e-10)


class Sure(ClassifierMixin, BaseEstimator):
    """Says the first class with a probability of nearly 1, whose complement only the logarithms know."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X):
        return np.tile([0.0, -800.0], (len(X), 1))


def test_logarithms_are_taken_from_the_estimator():
    model = Sure().fit(X[:100], Y[:100])
    assert face.neg_log_loss_scorer(model, X[:100], Y[:100]) == pytest.approx(-400.0, rel=1e-12)


def test_declared_classes_are_all_that_may_occur():
    model = clone(MODEL).fit(X[:100], Y[:100])
    scorer = face.ProbabilityScorer("brier", classes=[0, 1, 2])
    p = np.column_stack([model.predict_proba(X[:100]), np.zeros(100)])
    assert scorer(model, X[:100], Y[:100]) == pytest.approx(
        -((p - np.eye(3)[Y[:100]]) ** 2).sum(axis=1).mean()
    )
    with pytest.raises(ValueError, match=r"label 2 is none of the declared classes \[0, 1\]"):
        face.ProbabilityScorer("brier", classes=[0, 1])(model, X, Y)


def test_a_scorer_can_be_pickled_and_shows_how_it_was_made():
    scorer = pickle.loads(pickle.dumps(face.ProbabilityScorer("skill", classes=[0, 1])))
    assert repr(scorer) == "ProbabilityScorer('skill', classes=[0, 1])"
    with pytest.raises(ValueError, match="measure is 'logloss'; write one of log_loss"):
        face.ProbabilityScorer("logloss")
