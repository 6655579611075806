"""Calibrators: the maximum of the likelihood, against closed forms, scipy and scikit-learn."""

import math

import numpy as np
import pytest
from scipy import optimize, special
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from calibration_data import drawn, saturated
from crossentropy.evaluation import BadData, Declaration, evaluate
from crossentropy.evaluation._columns import make_batch
from crossentropy.evaluation.calibrators import (
    BetaCalibration,
    IsotonicCalibration,
    MatrixScaling,
    PlattScaling,
    TemperatureScaling,
    VectorScaling,
)
from crossentropy.evaluation.calibrators._rows import probabilities, rows_of
from evaluation_data import synthetic

TWO = (TemperatureScaling, PlattScaling, BetaCalibration, IsotonicCalibration)
MORE = (TemperatureScaling, VectorScaling, MatrixScaling, IsotonicCalibration)


def mean_loss(calibrator, predictions, y, weight=None):
    return np.average(-np.log(calibrator.predict_proba(predictions)[np.arange(len(y)), y]), weights=weight)


# ------------------------------------------------------------------------------------------------ the maximum


@pytest.mark.parametrize(
    ("kind", "predictions"),
    [
        ("logits", np.tile([2.0, 0.0], (10, 1))),
        ("logits", np.full(10, -2.0)),
        ("logits", np.tile([7.0, 5.0], (10, 1))),
        ("proba", np.full(10, special.expit(-2.0))),
        ("proba", np.tile(special.softmax([2.0, 0.0]), (10, 1))),
        ("log_proba", np.full(10, special.log_expit(-2.0))),
        ("log_proba", np.tile(special.log_softmax([2.0, 0.0]), (10, 1))),
    ],
)
def test_ten_rows_with_logits_of_2_and_eight_hits_have_a_closed_form(kind, predictions):
    y = [0] * 8 + [1] * 2
    scaling = TemperatureScaling(kind).fit(predictions, y)
    assert scaling.temperature_ == pytest.approx(2 / math.log(4), rel=1e-12)
    assert mean_loss(scaling, predictions, y) == pytest.approx(0.500402423538188, rel=1e-12)


def test_temperature_and_platt_have_the_reference_numbers_of_the_synthetic_set():
    p, y = synthetic()
    scaling, platt = TemperatureScaling("proba").fit(p, y), PlattScaling("proba").fit(p, y)
    assert scaling.temperature_ == pytest.approx(0.99346805622492, rel=1e-12)  # by mpmath
    assert mean_loss(scaling, p, y) == pytest.approx(0.498589601263, abs=1e-12)
    assert platt.coefficients_ == pytest.approx([-0.6190693863145, 1.0801609696657], rel=1e-11)  # by mpmath
    assert mean_loss(platt, p, y) == pytest.approx(0.468989165835, abs=1e-12)


def test_temperature_of_many_classes_and_weights_is_the_minimum_that_scipy_finds():
    z, y = drawn(0, 500, 5, temperature=3.0)
    weight = np.random.default_rng(1).lognormal(size=500)

    def loss(log_t):
        own = special.log_softmax(z / math.exp(log_t), axis=1)[np.arange(500), y]
        return -np.average(own, weights=weight)

    truth = optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-10})
    scaling = TemperatureScaling("logits").fit(z, y, sample_weight=weight)
    assert scaling.temperature_ == pytest.approx(math.exp(truth.x), rel=1e-7)
    assert mean_loss(scaling, z, y, weight) == pytest.approx(truth.fun, rel=1e-14)


@pytest.mark.parametrize("scale", [1e-8, 1e6, 1e30])
def test_temperature_follows_the_scale_of_the_logits(scale):
    z, y = drawn(2, 200, 3)
    of_one = TemperatureScaling("logits").fit(z, y).temperature_
    assert TemperatureScaling("logits").fit(z * scale, y).temperature_ == pytest.approx(
        scale * of_one, rel=1e-11
    )


@pytest.mark.parametrize("method", [TemperatureScaling, PlattScaling, BetaCalibration])
def test_weights_count_as_repeated_rows(method):
    p, y = synthetic()
    times = np.arange(1000) % 3 + 1
    weighted = method("proba").fit(p, y, sample_weight=times)
    repeated = method("proba").fit(np.repeat(p, times), np.repeat(y, times))
    assert weighted.predict_proba(p) == pytest.approx(repeated.predict_proba(p), rel=1e-10)


@pytest.mark.parametrize("method", TWO)
def test_the_unit_of_weights_makes_no_difference(method):
    p, y = synthetic()
    weight = np.arange(1000) % 3 + 1.0
    fits = [method("proba").fit(p, y, sample_weight=unit * weight).predict_proba(p) for unit in (1, 1e-3)]
    assert fits[1] == pytest.approx(fits[0], rel=1e-10)


def test_rows_of_weight_0_count_nothing():
    z, y = drawn(3, 100, 2)
    weight = np.where(np.arange(100) < 60, 1.0, 0.0)
    some = TemperatureScaling("logits").fit(z[:60], y[:60]).temperature_
    assert TemperatureScaling("logits").fit(z, y, weight).temperature_ == some


def test_beta_calibration_is_the_logistic_regression_of_both_logarithms():
    p, y = synthetic()
    features = np.stack([np.log(p), -np.log1p(-p)], axis=1)
    truth = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(features, y)
    beta = BetaCalibration("proba").fit(p, y)
    assert beta.coefficients_ == pytest.approx([*truth.intercept_, *truth.coef_[0]], rel=1e-5)


@pytest.mark.parametrize("flipped", [False, True])
def test_beta_calibration_keeps_its_bounds(flipped):
    p = np.repeat([0.2, 0.5, 0.8], 100)
    y = np.repeat([0, 1, 0, 1, 0, 1], [60, 40, 50, 50, 60, 40])  # falls again above ½
    p, y = (1 - p, 1 - y) if flipped else (p, y)
    features = np.stack([np.ones(300), np.log(p), -np.log1p(-p)])

    def loss(theta):
        u = theta @ features
        return (np.logaddexp(0, u) - y * u).sum(), features @ (special.expit(u) - y)

    bounds = [(None, None), (0, None), (0, None)]
    truth = optimize.minimize(loss, np.ones(3), jac=True, bounds=bounds, tol=1e-14)
    beta = BetaCalibration("proba").fit(p, y)
    assert (beta.coefficients_[1:] >= 0).all()
    assert (beta.coefficients_[1:] == 0).any()
    assert loss(beta.coefficients_)[0] == pytest.approx(truth.fun, rel=1e-9)


@pytest.mark.parametrize("method", [VectorScaling, MatrixScaling])
def test_vector_and_matrix_scaling_minimize_the_penalized_loss(method):
    z, y = drawn(4, 300, 3, temperature=2.0)
    x = special.log_softmax(z, axis=1)
    fit = method("logits").fit(z, y)
    identity = np.eye(3, 4) if method is MatrixScaling else np.tile([1.0, 0.0], (3, 1))

    def penalized(flat):
        theta = flat.reshape(identity.shape)
        u = x @ theta[:, :-1].T if method is MatrixScaling else x * theta[:, 0]
        own = special.log_softmax(u + theta[:, -1], axis=1)[np.arange(300), y]
        return 0.5 * np.square(theta - identity).sum() - own.sum()

    truth = optimize.minimize(penalized, identity.reshape(-1), tol=1e-10)
    assert fit.coefficients_.reshape(-1) == pytest.approx(truth.x, abs=1e-4)
    assert penalized(fit.coefficients_.reshape(-1)) <= truth.fun + 1e-9


@pytest.mark.parametrize("method", MORE)
def test_logits_their_log_softmax_and_their_softmax_give_the_same(method):
    z, y = drawn(5, 1500, 3, temperature=1.5)
    results = [
        method(kind).fit(x, y).predict_proba(x)
        for kind, x in (
            ("logits", z),
            ("log_proba", special.log_softmax(z, 1)),
            ("proba", special.softmax(z, 1)),
        )
    ]
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-9)


def test_isotonic_calibration_is_the_isotonic_regression_with_half_rows_at_the_ends():
    p, y = synthetic()
    weight = np.concatenate([[0.5], np.ones(1000), [0.5]])
    x, t = np.concatenate([[-1.0], p, [2.0]]), np.concatenate([[1.0], y, [0.0]])
    truth = IsotonicRegression().fit_transform(x, t, sample_weight=weight)[1:-1]
    assert IsotonicCalibration("proba").fit(p, y).predict_proba(p)[:, 1] == pytest.approx(truth, rel=1e-12)


def test_isotonic_calibration_of_many_rows_changes_predictions_by_less_than_a_percent(monkeypatch):
    z, y = drawn(6, 5000, 2, temperature=1.5)
    exact = IsotonicCalibration("logits").fit(z, y).predict_proba(z)
    monkeypatch.setattr("crossentropy.evaluation.calibrators._isotonic.MOST_EXACT", 1000)
    rounded = IsotonicCalibration("logits").fit(z, y)
    assert np.median(np.abs(rounded.predict_proba(z) / exact - 1)) < 0.01
    assert mean_loss(rounded, z, y) == pytest.approx(
        mean_loss(IsotonicCalibration("logits").fit(z, y), z, y), rel=5e-3
    )


# ------------------------------------------------------------------------------------------- hard data


@pytest.mark.parametrize("method", TWO)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_of_0_and_1_survive(method, dtype):
    p, y = saturated()
    fit = method("proba").fit(p.astype(dtype), y)
    q = fit.predict_proba(p.astype(dtype))
    assert np.isfinite(q).all()
    assert q.sum(axis=1) == pytest.approx(1, rel=1e-15)
    assert (np.diff(fit.predict_proba(np.asarray([0, 0.25, 0.75, 1], dtype))[:, 1]) >= 0).all()
    assert np.isfinite(mean_loss(fit, p.astype(dtype), y))


@pytest.mark.parametrize(
    ("dtype", "least", "below_1"),
    [(np.float32, 2.0**-149, 2.0**-24), (np.float64, 2.0**-1074, 2.0**-53)],
)
def test_0_and_1_stand_for_the_numbers_next_to_them(dtype, least, below_1):
    p, y = np.tile(np.asarray([0.3, 0.7], dtype), 50), np.tile([0, 1, 0, 0, 1, 1, 0, 1, 1, 0], 10)
    scaling = TemperatureScaling("proba").fit(p, y)
    q = scaling.predict_proba(np.asarray([0, 1], dtype))
    z = np.asarray([math.log(least), -math.log(below_1)]) / scaling.temperature_
    assert np.log(q[:, 1]) - np.log(q[:, 0]) == pytest.approx(z, rel=1e-6)


@pytest.mark.parametrize("method", MORE)
def test_probabilities_of_0_and_1_of_more_classes_survive(method):
    p = np.tile([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.2, 0.6]], (300, 1))
    y = np.random.default_rng(0).integers(0, 3, 1200)
    q = method("proba").fit(p, y).predict_proba(p)
    assert np.isfinite(q).all()
    assert np.isfinite(-np.log(q[np.arange(1200), y]).mean())


@pytest.mark.parametrize("method", TWO)
def test_labels_that_a_threshold_separates_leave_doubt(method):
    z = np.concatenate([np.linspace(-3, -1, 600), np.linspace(1, 3, 600)])
    q = method("logits").fit(z, z > 0).predict_proba(z)
    assert (q.argmax(axis=1) == (z > 0)).all()
    assert q.min() > 1e-7


def test_predictions_that_say_less_than_nothing_become_uniform():
    z, y = drawn(7, 400, 3)
    scaling = TemperatureScaling("logits").fit(-z, y)
    assert scaling.temperature_ == math.inf
    assert (scaling.predict_proba(z) == 1 / 3).all()


@pytest.mark.parametrize("method", TWO)
def test_one_class_alone_is_not_certain(method):
    q = method("logits").fit(np.linspace(-2, 2, 1200), np.ones(1200, int)).predict_proba([0.1])
    assert 0.5 <= q[0, 1] < 1


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("method", "n", "classes", "words"),
    [
        (TemperatureScaling, 9, 3, "of 3 classes needs 10 rows, and there are 9"),
        (PlattScaling, 19, 2, "needs 20 rows"),
        (BetaCalibration, 29, 2, "needs 30 rows"),
        (VectorScaling, 79, 4, "needs 80 rows"),
        (MatrixScaling, 199, 4, "needs 200 rows"),
        (IsotonicCalibration, 999, 2, "needs 1,000 rows"),
        (PlattScaling, 100, 3, "is not for 3 classes; use VectorScaling or MatrixScaling"),
        (VectorScaling, 100, 2, "is not for 2 classes; use PlattScaling"),
        (MatrixScaling, 100, 45, "use a method with fewer than its 2,070 parameters"),
    ],
)
def test_too_few_rows_and_other_numbers_of_classes_are_refused(method, n, classes, words):
    z, y = drawn(8, n, classes)
    with pytest.raises(ValueError, match=words):
        method("logits").fit(z, y)


@pytest.mark.parametrize(
    ("kind", "predictions", "y", "words"),
    [
        ("proba", [1.5] * 10, [0, 1] * 5, "the probability is 1.5"),
        ("log_proba", [1.5] * 10, [0, 1] * 5, "the log-probability is 1.5"),
        ("logits", [math.nan] * 10, [0, 1] * 5, "a logit is NaN"),
        ("proba", [[0.5, 0.6]] * 10, [0, 1] * 5, "sum to 1.1"),
        ("proba", [0.5] * 10, [0, 2] * 5, "the label is 2"),
        ("proba", [0.5] * 10, [0, 1], "labels has 2 rows"),
    ],
)
def test_predictions_that_are_not_what_was_declared_are_refused(kind, predictions, y, words):
    with pytest.raises(BadData, match=words):
        TemperatureScaling(kind).fit(predictions, y)


def test_what_predictions_are_is_never_guessed():
    with pytest.raises(TypeError, match="kind"):
        TemperatureScaling()
    with pytest.raises(ValueError, match="kind is 'probs'; pass 'proba', 'logits' or 'log_proba'"):
        TemperatureScaling("probs").fit([0.5] * 10, [0, 1] * 5)
    with pytest.raises(BadData, match=r"the probability is -2\.0"):
        TemperatureScaling("proba").fit([0.5] * 10, [0, 1] * 5).predict_proba([-2.0])


def test_named_classes_are_in_the_order_of_the_columns():
    z, y = drawn(9, 300, 3, temperature=2.0)
    names = np.asarray(["dog", "ant", "cat"])
    fit = TemperatureScaling("logits", classes=names.tolist()).fit(z, names[y])
    assert fit.classes_.tolist() == names.tolist()
    assert (fit.predict(z) == names[z.argmax(axis=1)]).all()
    assert fit.temperature_ == TemperatureScaling("logits").fit(z, y).temperature_


def test_calibration_lowers_the_miscalibration_that_evaluate_finds():
    z, y = drawn(10, 4000, 2, temperature=3.0)
    before = evaluate(labels=y, logits=z)
    after = evaluate(labels=y, proba=TemperatureScaling("logits").fit(z, y).predict_proba(z))
    assert after.ece < before.ece / 4
    assert after.temperature == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("method", [TemperatureScaling, PlattScaling, BetaCalibration])
def test_fits_of_many_rows_start_from_condensed_ones_and_end_at_the_maximum(method, monkeypatch):
    z, y = drawn(11, 40_000, 2, temperature=1.7)
    weight = np.random.default_rng(12).lognormal(size=40_000)
    truth = method("logits").fit(z, y, weight).predict_proba(z)
    monkeypatch.setattr("crossentropy.evaluation.calibrators._rows.MANY", 10_000)
    assert method("logits").fit(z, y, weight).predict_proba(z) == pytest.approx(truth, rel=1e-11)
    condensed = rows_of(*batch_of(z, y, weight), np.float64).condensed
    assert 2000 < len(condensed) < 30_000
    fit = method("logits")
    fit._fit(condensed)
    assert probabilities(fit._map(z[:, 1] - z[:, 0])) == pytest.approx(truth, rel=1e-5)


def batch_of(z, y, weight):
    declaration = Declaration("logits", (0, 1), one_column=False, weighted=True)
    return make_batch(declaration, z, y, weight=weight)[0], declaration
