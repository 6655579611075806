"""Weights of rows and of classes, and counts that are sums of weights."""

import warnings

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES
from crossentropy.sklearn import CrossEntropyClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
Y = RNG.integers(3, size=30)
WEIGHT = RNG.integers(0, 4, size=30)
TIMES = X.repeat(WEIGHT, axis=0), Y.repeat(WEIGHT)
QUICK = {"hidden": (8,), "epochs": 6, "random_state": 0}
# The mean of the largest losses: a heavy row is not several rows to it.
MEANS = [name for name in KNOWN_LOSSES if name != "hard_example_loss"]


@pytest.fixture(autouse=True)
def silent_about_convergence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize(
    "loss",
    [
        *MEANS,
        "cross_entropy(class_weight=balanced)",
        "focal(class_weight=class_balanced)",
        "cross_entropy(logit_bias=adjusted)",
    ],
)
def test_a_weight_of_k_is_k_repetitions_to_the_bit_in_one_batch(loss):
    weighted = CrossEntropyClassifier(loss, batch_size=64, **QUICK).fit(X, Y, WEIGHT)
    repeated = CrossEntropyClassifier(loss, batch_size=64, **QUICK).fit(*TIMES)
    np.testing.assert_array_equal(weighted.predict_log_proba(X), repeated.predict_log_proba(X))


def test_balanced_class_weights_are_of_the_sums_of_weights():
    weighted = CrossEntropyClassifier(class_weight="balanced", **QUICK).fit(X, Y, WEIGHT)
    repeated = CrossEntropyClassifier(class_weight="balanced", **QUICK).fit(*TIMES)
    np.testing.assert_array_equal(weighted.predict_log_proba(X), repeated.predict_log_proba(X))


def test_balanced_in_the_loss_and_as_a_parameter_are_the_same():
    parameter = CrossEntropyClassifier(class_weight="balanced", **QUICK).fit(X, Y)
    in_the_loss = CrossEntropyClassifier("cross_entropy(class_weight=balanced)", **QUICK).fit(X, Y)
    np.testing.assert_allclose(parameter.predict_proba(X), in_the_loss.predict_proba(X), rtol=1e-4)


def test_a_row_counts_as_much_in_a_batch_with_heavy_rows_as_in_any():
    """The epoch's objective is the weighted mean over all rows, whatever their batches; steps are too small to see."""
    weight = np.where(np.arange(30) % 7 == 0, 50.0, 0.1)
    still = {"learning_rate": 1e-12, "weight_decay": 0, "hidden": (8,), "epochs": 1, "random_state": 0}
    whole = CrossEntropyClassifier(batch_size=30, **still).fit(X, Y, weight)
    batches = CrossEntropyClassifier(batch_size=4, **still).fit(X, Y, weight)
    p = whole.predict_proba(X)[np.arange(30), Y]
    truth = np.average(-np.log(p), weights=weight)
    assert whole.history_[0].objective == pytest.approx(truth, rel=1e-6)
    assert batches.history_[0].objective == pytest.approx(truth, rel=1e-6)
    assert batches.history_[0].log_loss == pytest.approx(truth, rel=1e-6)


def test_the_scale_of_weights_does_not_matter():
    once = CrossEntropyClassifier(batch_size=4, **QUICK).fit(X, Y, WEIGHT)
    scaled = CrossEntropyClassifier(batch_size=4, **QUICK).fit(X, Y, WEIGHT * 1024.0)
    np.testing.assert_allclose(once.predict_proba(X), scaled.predict_proba(X), rtol=1e-4)


def test_rows_of_weight_zero_and_their_labels_count_as_not_given():
    weight = (Y != 2).astype(float)
    classifier = CrossEntropyClassifier(**QUICK).fit(X, Y, weight)
    assert classifier.classes_.tolist() == [0, 1]
    without = CrossEntropyClassifier(**QUICK).fit(X[Y != 2], Y[Y != 2], weight[Y != 2])
    np.testing.assert_array_equal(classifier.predict_proba(X), without.predict_proba(X))


def test_validation_rows_have_their_weights():
    weight = np.r_[np.ones(20), 9.0, np.zeros(9)]
    classifier = CrossEntropyClassifier(**QUICK)
    classifier.fit(X[:20], Y[:20], X_val=X[20:], y_val=Y[20:], sample_weight_val=weight[20:])
    p = classifier.predict_proba(X[20:21])[0, Y[20]]
    best = classifier.history_[classifier.best_epoch_ - 1]
    assert best.validation_log_loss == pytest.approx(-np.log(p), rel=1e-5)
    assert best.validation_objective == pytest.approx(-np.log(p), rel=1e-5)


def test_with_corrected_weights_scores_are_less_by_the_logarithms_of_the_weights():
    X, y = load_iris(return_X_y=True)
    weights = {0: 2.0, 1: 0.5, 2: 3.0}
    classifier = CrossEntropyClassifier(class_weight=weights, epochs=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(classifier.class_weight_, [2.0, 0.5, 3.0])
    scores = classifier.decision_function(X)
    corrected = classifier.set_params(correct_weights=True).decision_function(X)
    np.testing.assert_array_equal(corrected, scores - np.log([2.0, 0.5, 3.0]))
    np.testing.assert_allclose(classifier.predict_proba(X), softmax(corrected, axis=1), rtol=1e-12)


def test_weights_in_the_loss_are_corrected_too():
    X, y = load_iris(return_X_y=True)
    loss = "cross_entropy(class_weight=balanced)"
    classifier = CrossEntropyClassifier(loss, class_weight={0: 2.0}, epochs=1, random_state=0)
    np.testing.assert_allclose(classifier.fit(X[:120], y[:120]).class_weight_, [1.6, 0.8, 2.0])


def test_a_weight_of_zero_cannot_be_corrected():
    X, y = load_iris(return_X_y=True)
    classifier = CrossEntropyClassifier(class_weight={0: 0.0}, correct_weights=True, epochs=1)
    with pytest.raises(ValueError, match=r"correct_weights is True, and the weight of class 0 is 0"):
        classifier.fit(X, y)
    classifier.set_params(correct_weights=False).fit(X, y)
    with pytest.raises(ValueError, match=r"correct_weights is True, and the weight of class 0 is 0"):
        classifier.set_params(correct_weights=True).predict_proba(X)
