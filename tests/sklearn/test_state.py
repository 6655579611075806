"""States, pickles, and training that goes on."""

import io
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from crossentropy.sklearn import CrossEntropyClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4))
Y = np.asarray(["a", "b", "c"])[RNG.integers(3, size=150)]
SETTINGS = {"hidden": (8, 6), "dropout": 0.2, "learning_rate": 0.01, "random_state": 0, "tol": 0}


@pytest.fixture(autouse=True)
def silent_about_convergence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fitted(**settings):
    weight = {"a": 2.0, "b": 1.0, "c": 1.0}
    loss = "focal(gamma=2, softcap=5)"
    return CrossEntropyClassifier(loss, **(SETTINGS | {"epochs": 6, "class_weight": weight} | settings)).fit(
        X, Y
    )


def through_a_file(state):
    """Written by torch.save, and read by what executes nothing."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_classifier_from_a_state_is_the_one_it_was(resume):
    before = fitted()
    after = CrossEntropyClassifier.from_state(through_a_file(before.to_state(resume=resume)))
    np.testing.assert_array_equal(before.predict_proba(X), after.predict_proba(X))
    np.testing.assert_array_equal(before.predict(X), after.predict(X))
    assert after.get_params() == before.get_params()
    assert str(after.history_) == str(before.history_)  # NaN is not equal to itself
    for name in ("n_iter_", "best_epoch_", "converged_", "n_features_in_"):
        assert getattr(after, name) == getattr(before, name)


def test_all_of_a_state_but_the_tensors_is_json():
    before = fitted()
    state = before.to_state()
    tensors = state.pop("network")
    after = CrossEntropyClassifier.from_state(json.loads(json.dumps(state)) | {"network": tensors})
    np.testing.assert_array_equal(before.predict_proba(X), after.predict_proba(X))
    assert after.class_weight == before.class_weight


@pytest.mark.parametrize("labels", [[1, 5], [True, False], [0.0, 2.0]])
def test_the_labels_of_a_state_keep_their_type(labels):
    before = CrossEntropyClassifier(epochs=1, random_state=0).fit(
        X, np.asarray(labels)[RNG.integers(2, size=150)]
    )
    after = CrossEntropyClassifier.from_state(through_a_file(before.to_state()))
    assert after.classes_.dtype == before.classes_.dtype
    np.testing.assert_array_equal(after.classes_, before.classes_)


def test_parameters_can_differ_from_those_of_the_state():
    assert CrossEntropyClassifier.from_state(fitted().to_state(), epochs=9).epochs == 9


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"weights": 1}, "was not written by"),
        ({"format": 99}, "has format 99, and this version .* reads format 1"),
    ],
)
def test_what_is_no_state_of_this_version_is_refused(state, said):
    with pytest.raises(ValueError, match=said):
        CrossEntropyClassifier.from_state(state)


def test_a_pickle_predicts_and_trains_on():
    before = fitted(early_stopping=True)
    after = pickle.loads(pickle.dumps(before))
    np.testing.assert_array_equal(before.predict_proba(X), after.predict_proba(X))
    before.partial_fit(X, Y)
    after.partial_fit(X, Y)
    np.testing.assert_array_equal(before.predict_proba(X), after.predict_proba(X))


def test_a_classifier_that_is_not_fitted_can_be_pickled():
    assert pickle.loads(pickle.dumps(CrossEntropyClassifier(epochs=3))).epochs == 3


@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_that_goes_on_ends_as_if_it_had_not_stopped(early_stopping):
    whole = fitted(epochs=12, early_stopping=early_stopping)
    state = through_a_file(fitted(epochs=5, early_stopping=early_stopping).to_state(resume=True))
    part = CrossEntropyClassifier.from_state(state, epochs=12, warm_start=True).fit(X, Y)
    np.testing.assert_array_equal(part.predict_proba(X), whole.predict_proba(X))
    assert str(part.history_) == str(whole.history_)
    assert part.best_epoch_ == whole.best_epoch_


def test_training_goes_on_from_the_state_that_a_callback_stored():
    states = {}

    def store(classifier, epoch):
        states[epoch.epoch] = classifier.to_state(resume=True)

    whole = fitted(epochs=12, callback=store)
    part = CrossEntropyClassifier.from_state(states[7], warm_start=True).fit(X, Y)
    np.testing.assert_array_equal(part.predict_proba(X), whole.predict_proba(X))


def test_a_state_without_the_optimizer_cannot_go_on_and_says_so():
    classifier = CrossEntropyClassifier.from_state(fitted().to_state(), warm_start=True)
    with pytest.raises(ValueError, match=r"to_state\(resume=True\)"):
        classifier.fit(X, Y)


def test_partial_fit_goes_on_from_the_parameters_that_predict():
    classifier = CrossEntropyClassifier.from_state(fitted().to_state(), learning_rate=1e-9, weight_decay=0)
    before = classifier.predict_proba(X)
    classifier.partial_fit(X, Y)
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)
    assert not np.array_equal(classifier.predict_proba(X), before)
    assert classifier.n_iter_ == 7


def test_partial_fit_of_the_same_rows_is_an_epoch_of_fit():
    settings = SETTINGS | {"dropout": 0.0}
    whole = CrossEntropyClassifier(**settings, epochs=3).fit(X, Y)
    assert whole.best_epoch_ == 3
    parts = CrossEntropyClassifier(**settings)
    for _ in range(3):
        parts.partial_fit(X, Y, classes=["c", "a", "b"])
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    assert [epoch.objective for epoch in parts.history_] == [epoch.objective for epoch in whole.history_]


def test_partial_fit_knows_labels_that_come_later():
    classifier = CrossEntropyClassifier(random_state=0).partial_fit(
        X[Y != "c"], Y[Y != "c"], classes=["a", "b", "c"]
    )
    assert classifier.predict_proba(X).shape == (150, 3)
    classifier.partial_fit(X[Y == "c"], Y[Y == "c"])
    assert classifier.classes_.tolist() == ["a", "b", "c"]
