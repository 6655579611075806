"""What `fit` minimizes, which epoch it keeps, and what it says."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES
from crossentropy.sklearn import CrossEntropyClassifier, DivergenceError
from test_proof_noise import noisy_digits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = np.asarray(["blue", "green", "red"])[np.argmax(X[:, :3] + RNG.normal(size=(120, 3)), axis=1)]
QUICK = {"hidden": (8,), "epochs": 4, "random_state": 0}
NEEDS = {"hard_example_loss": "(keep=0.5)"}


@pytest.fixture(autouse=True)
def silent_about_convergence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def test_a_linear_model_reaches_the_minimum_of_logistic_regression():
    truth = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, Y).predict_proba(X)
    ours = CrossEntropyClassifier(
        hidden=(), weight_decay=0, learning_rate=0.03, batch_size=120, epochs=3000, tol=0, random_state=0
    )
    np.testing.assert_allclose(ours.fit(X, Y).predict_proba(X), truth, atol=1e-3)


def test_class_weights_move_the_minimum_as_those_of_logistic_regression():
    weight = {"blue": 5, "green": 1, "red": 0.5}
    truth = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, class_weight=weight).fit(X, Y)
    settings = {"weight_decay": 0, "learning_rate": 0.03, "epochs": 3000, "tol": 0, "random_state": 0}
    ours = CrossEntropyClassifier(hidden=(), batch_size=120, class_weight=weight, **settings).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), truth.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("name", KNOWN_LOSSES)
def test_every_loss_of_the_command_trains(name):
    classifier = CrossEntropyClassifier(name + NEEDS.get(name, ""), **QUICK).fit(X, Y, np.arange(1, 121) / 60)
    objectives = [epoch.objective for epoch in classifier.history_]
    assert objectives[-1] < objectives[0]
    np.testing.assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, atol=1e-15)


def test_history_holds_the_measures_of_the_validation_rows_after_each_epoch():
    seen = []

    def check(classifier, epoch):
        if epoch.epoch == classifier.best_epoch_:
            p = classifier.predict_proba(X[80:])
            seen.append((epoch.validation_log_loss, log_loss(Y[80:], p)))
            assert epoch.validation_accuracy == accuracy_score(Y[80:], classifier.predict(X[80:]))

    classifier = CrossEntropyClassifier("focal(gamma=2)", callback=check, **QUICK)
    classifier.fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    assert len(seen) >= 1
    np.testing.assert_allclose(*zip(*seen, strict=True), rtol=1e-5)
    p = np.take_along_axis(
        classifier.predict_proba(X[80:]), np.searchsorted(classifier.classes_, Y[80:])[:, None], 1
    )
    best = classifier.history_[classifier.best_epoch_ - 1]
    assert best.validation_objective == pytest.approx(-((1 - p) ** 2 * np.log(p)).mean(), rel=1e-5)
    assert classifier.n_iter_ == len(classifier.history_)


@pytest.mark.parametrize("select", ["objective", "log_loss", "accuracy"])
def test_the_epoch_that_is_kept_is_the_best_by_what_was_selected(select):
    noise = RNG.integers(2, size=120)
    classifier = CrossEntropyClassifier(
        "generalized_cross_entropy",
        (64,),
        learning_rate=0.01,
        epochs=100,
        tol=0,
        select=select,
        random_state=0,
    ).fit(X[:80], noise[:80], X_val=X[80:], y_val=noise[80:])
    values = [getattr(epoch, f"validation_{select}") for epoch in classifier.history_]
    best = values.index(max(values) if select == "accuracy" else min(values))
    assert (classifier.best_epoch_, classifier.n_iter_) == (best + 1, best + 1 + classifier.patience)
    assert classifier.converged_
    p = classifier.predict_proba(X[80:])
    assert log_loss(noise[80:], p) == pytest.approx(classifier.history_[best].validation_log_loss, rel=1e-5)


def test_under_label_noise_a_robust_loss_needs_the_selection_by_its_objective():
    """By the log loss, which wrong labels make least when little is learned, training ends after few epochs."""
    (pixels, labels), (test, truth) = noisy_digits(0)

    def clean_accuracy(loss, select):
        return (
            CrossEntropyClassifier(loss, select=select, random_state=0).fit(pixels, labels).score(test, truth)
        )

    robust = clean_accuracy("generalized_cross_entropy", "objective")
    assert robust >= 0.92
    assert robust >= clean_accuracy("generalized_cross_entropy", "log_loss") + 0.15
    assert CrossEntropyClassifier().select == "objective"


def test_a_share_of_each_class_is_held_out_to_choose_the_epoch():
    counted = CrossEntropyClassifier("balanced_softmax_loss", early_stopping=True, **QUICK)
    measured = counted.fit(X, Y).history_[0]
    assert not np.isnan(measured.validation_objective)
    _, n = np.unique(Y, return_counts=True)
    held_out = np.rint(n * 0.1).sum()
    assert (measured.validation_accuracy * held_out) % 1 == pytest.approx(0, abs=1e-9)


def test_early_stopping_is_the_default_from_a_thousand_rows_on():
    rows = np.arange(1000) % 120
    few = CrossEntropyClassifier(**QUICK).fit(X[rows[:999]], Y[rows[:999]])
    many = CrossEntropyClassifier(**QUICK).fit(X[rows], Y[rows])
    assert np.isnan(few.history_[0].validation_objective)
    assert not np.isnan(many.history_[0].validation_objective)


def test_training_that_ends_with_its_best_epoch_warns():
    with pytest.warns(ConvergenceWarning, match=r"last epoch, 4, is the best .* raise epochs"):
        classifier = CrossEntropyClassifier(**QUICK).fit(X, Y)
    assert not classifier.converged_


def test_the_same_seed_gives_the_same_classifier_whatever_the_global_state():
    settings = QUICK | {"dropout": 0.3}
    torch.manual_seed(1)
    first = CrossEntropyClassifier(**settings).fit(X, Y)
    before = torch.get_rng_state()
    CrossEntropyClassifier(**settings).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = CrossEntropyClassifier(**settings).fit(X, Y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    other = CrossEntropyClassifier(**(settings | {"random_state": 1})).fit(X, Y)
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_dropout_changes_training_and_not_prediction():
    plain, dropped = (CrossEntropyClassifier(dropout=p, **QUICK).fit(X, Y) for p in (0.0, 0.5))
    assert not np.array_equal(plain.predict_proba(X), dropped.predict_proba(X))
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))
    assert list(plain.network_.state_dict()) == list(dropped.network_.state_dict())


def test_a_loss_that_is_no_longer_finite_is_an_error_that_names_the_learning_rate_and_the_inputs():
    said = rf"largest absolute value is {np.abs(X).max():.3g}; lower learning_rate, which is 1e\+30"
    with pytest.raises(DivergenceError, match=said):
        CrossEntropyClassifier(**QUICK, learning_rate=1e30).fit(X, Y)


def test_a_huge_number_in_a_validation_row_is_not_blamed_on_the_learning_rate():
    wrong = X[80:].copy()
    wrong[3] = 3e38
    classifier = CrossEntropyClassifier(learning_rate=0.1, random_state=0)
    with pytest.raises(
        DivergenceError, match=r"validation rows .* training rows is finite; .* 3e\+38"
    ) as error:
        classifier.fit(X[:80], Y[:80], X_val=wrong, y_val=Y[80:])
    assert "learning_rate" not in str(error.value)


def test_a_pipeline_is_searched_over_losses():
    pipeline = make_pipeline(StandardScaler(), CrossEntropyClassifier(**QUICK))
    losses = ["cross_entropy", "focal(gamma=2)", "cross_entropy(class_weight=balanced)"]
    search = GridSearchCV(pipeline, {"crossentropyclassifier__loss": losses}, cv=2).fit(X, Y)
    assert search.best_params_["crossentropyclassifier__loss"] in losses
    assert clone(search.best_estimator_).get_params()["crossentropyclassifier__hidden"] == (8,)
