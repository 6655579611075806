"""Predictions: their shapes, types and digits."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from crossentropy.sklearn import CrossEntropyClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
QUICK = {"hidden": (8,), "epochs": 3, "random_state": 0}


@pytest.fixture(autouse=True)
def silent_about_convergence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize(
    "labels",
    [
        RNG.integers(3, size=60) - 1,
        np.asarray(["a", "b", "c"], dtype=object)[RNG.integers(3, size=60)],
        RNG.random(60) < 0.5,
        np.asarray([2**63 + 1, 2**63 + 2, 5], dtype=np.uint64)[RNG.integers(3, size=60)],
    ],
    ids=["negative", "strings", "booleans", "huge"],
)
def test_labels_come_back_as_they_were(labels):
    classifier = CrossEntropyClassifier(**QUICK).fit(X, labels)
    assert classifier.classes_.tolist() == sorted(set(labels.tolist()))
    got = classifier.predict(X)
    assert got.dtype == labels.dtype
    assert set(got.tolist()) <= set(labels.tolist())


@pytest.mark.parametrize("loss", ["cross_entropy(temperature=0.5, softcap=2)", "ldam_loss(scale=4)"])
def test_the_transforms_of_the_loss_are_in_the_predictions(loss):
    labels = RNG.integers(3, size=60)
    classifier = CrossEntropyClassifier(loss, **QUICK).fit(X, labels)
    with torch.no_grad():
        logits = classifier.network_(torch.from_numpy(X)).double().numpy()
    u = 2 * np.tanh(logits / 2) / 0.5 if "softcap" in loss else logits * 4
    np.testing.assert_allclose(classifier.decision_function(X), u, rtol=1e-4, atol=1e-5)
    expected = torch.softmax(torch.from_numpy(u), 1).numpy()
    np.testing.assert_allclose(classifier.predict_proba(X), expected, rtol=1e-4)


def test_two_classes_have_one_score_the_log_odds_of_the_second():
    classifier = CrossEntropyClassifier(**QUICK).fit(X, X[:, 0] > 0)
    score, p = classifier.decision_function(X), classifier.predict_proba(X)
    assert score.shape == (60,)
    np.testing.assert_allclose(score, np.log(p[:, 1] / p[:, 0]), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), score > 0)


def test_equal_scores_give_the_first_label():
    classifier = CrossEntropyClassifier(hidden=(), epochs=1, random_state=0).fit(X, RNG.integers(3, size=60))
    for parameter in classifier.network_.parameters():
        torch.nn.init.zeros_(parameter)
    assert set(classifier.predict(X)) == {0}
    p = classifier.predict_proba(X[:1])
    assert (p == p[0, 0]).all()
    np.testing.assert_array_max_ulp(p, np.full((1, 3), 1 / 3), maxulp=1)  # NumPy's exp differs by processor


def test_one_class_is_certain():
    classifier = CrossEntropyClassifier(**QUICK).fit(X, ["only"] * 60)
    assert set(classifier.predict(X)) == {"only"}
    assert (classifier.predict_proba(X) == 1).all()
    assert (classifier.predict_log_proba(X) == 0).all()


def test_a_nearly_certain_label_keeps_the_digits_of_its_log_probability():
    classifier = CrossEntropyClassifier(hidden=(), epochs=1, random_state=0).fit(X, X[:, 0] > 0)
    torch.nn.init.zeros_(classifier.network_[0].weight)
    classifier.network_[0].bias.data = torch.tensor([50.0, 0.0])
    assert classifier.predict_log_proba(X[:1])[0, 0] == pytest.approx(-np.exp(-50.0), rel=1e-14, abs=0)


def test_a_row_has_the_same_probabilities_whatever_rows_come_with_it():
    classifier = CrossEntropyClassifier(**QUICK).fit(X, RNG.integers(3, size=60))
    alone = np.concatenate([classifier.predict_proba(row[None]) for row in X])
    np.testing.assert_allclose(classifier.predict_proba(X), alone, rtol=1e-14)


def test_names_of_columns_are_compared():
    frame = pd.DataFrame(X, columns=list("abcd"))
    classifier = CrossEntropyClassifier(**QUICK).fit(frame, RNG.integers(3, size=60))
    assert classifier.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame[list("dcba")])


@pytest.mark.parametrize(
    "rows", [X[::-1], np.asfortranarray(X), X[:, ::-1]], ids=["reversed", "columns", "negative"]
)
def test_any_memory_layout_is_taken_and_left_as_it_was(rows):
    rows.setflags(write=False)
    labels = RNG.integers(3, size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        got = CrossEntropyClassifier(**QUICK).fit(rows, labels).predict_proba(rows)
    copied = np.array(rows, order="C")
    np.testing.assert_array_equal(
        got, CrossEntropyClassifier(**QUICK).fit(copied, labels).predict_proba(copied)
    )
