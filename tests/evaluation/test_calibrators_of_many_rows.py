"""Calibrators of more rows than are worked on one by one; labels that are distributions; folds of clusters."""

import numpy as np
import pytest

from calibration_data import drawn
from crossentropy.evaluation import BadData
from crossentropy.evaluation.calibrators import (
    AutoCalibration,
    BetaCalibration,
    IsotonicCalibration,
    MatrixScaling,
    PlattScaling,
    TemperatureScaling,
    VectorScaling,
    cross_validated_gain,
)
from crossentropy.evaluation.calibrators._folds import fold_of_clusters

N = 24_000


@pytest.fixture
def few_are_many(monkeypatch):
    """Put the numbers of rows from where on fits are shared down to some thousands."""
    package = "crossentropy.evaluation.calibrators"
    monkeypatch.setattr(f"{package}._rows.MANY", 5000)
    monkeypatch.setattr(f"{package}._temperature.MANY", 5000)
    monkeypatch.setattr(f"{package}._isotonic.MOST_EXACT", 5000)
    monkeypatch.setattr(f"{package}._linear.LEAST_SOME", 2000)


def biased(seed=3, n=N, classes=4):
    z, y = drawn(seed, n, classes)
    return 1.7 * z + np.linspace(0, 0.5, classes), y


@pytest.mark.parametrize(
    ("method", "abs_error"),
    [(TemperatureScaling, 1e-6), (VectorScaling, 1e-5), (MatrixScaling, 3e-5), (IsotonicCalibration, 4e-4)],
)
def test_many_rows_of_many_classes_have_the_gain_of_fits_to_each_fold(
    method, abs_error, monkeypatch, request
):
    z, y = biased()
    weight = np.arange(N) % 3 + 0.5
    truth = cross_validated_gain(method("logits"), z, y, weight)
    request.getfixturevalue("few_are_many")
    gain = cross_validated_gain(method("logits"), z, y, weight)
    assert gain.gain == pytest.approx(truth.gain, abs=abs_error)
    assert gain.standard_error == pytest.approx(truth.standard_error, rel=1e-3)


@pytest.mark.parametrize("method", [VectorScaling, MatrixScaling])
def test_many_rows_are_fitted_to_the_maximum(method, request):
    z, y = biased()
    truth = method("logits").fit(z, y).coefficients_
    request.getfixturevalue("few_are_many")
    assert method("logits").fit(z, y).coefficients_ == pytest.approx(truth, abs=1e-6)


def test_isotonic_calibration_of_many_rows_takes_logits_of_any_size():
    r = np.random.default_rng(0)
    z = r.normal(size=70_000)
    y = (r.random(len(z)) < 1 / (1 + np.exp(-z))).astype(int)
    z[:4], y[:4] = [-1e99, 1e99, -1e9, 1e9], [0, 1, 0, 1]
    p = IsotonicCalibration("logits").fit(z, y).predict_proba([-1e99, 0.0, 1e99])[:, 1]
    assert p[0] < 0.1  # the lowest block is of log-odds about -3
    assert p[1] == pytest.approx(0.5, abs=0.05)
    assert p[2] > 0.9


# -------------------------------------------------------------------------------------------------- soft labels

SOFT = [
    (TemperatureScaling, 2),
    (PlattScaling, 2),
    (BetaCalibration, 2),
    (IsotonicCalibration, 2),
    (AutoCalibration, 2),
    (TemperatureScaling, 3),
    (VectorScaling, 3),
    (MatrixScaling, 3),
    (IsotonicCalibration, 3),
]


@pytest.mark.parametrize(("method", "classes"), SOFT)
def test_a_soft_label_is_a_row_of_each_label_with_its_mass_as_weight(method, classes):
    z, _ = drawn(0, 1500, classes, 2.0)
    t = np.random.default_rng(1).dirichlet(np.ones(classes), 1500) ** 2
    t /= t.sum(axis=1, keepdims=True)
    soft = method("logits").fit(z, t, soft_labels=True)
    each = np.tile(np.arange(classes), 1500)
    if method is AutoCalibration:
        assert [gain.method for gain in soft.gains_] == ["temperature", "platt", "beta", "isotonic"]
        return
    hard = method("logits").fit(np.repeat(z, classes, axis=0), each, t.reshape(-1))
    loss, truth = (-(t * np.log(fit.predict_proba(z))).sum(axis=1).mean() for fit in (soft, hard))
    # the prior, and half a row at the ends of a curve, are smaller beside more rows
    exact = method in (TemperatureScaling, PlattScaling, BetaCalibration)
    assert loss == pytest.approx(truth, rel=1e-12 if exact else 1e-3)


def test_many_rows_of_soft_labels_are_condensed_as_their_labels(request):
    z, _ = drawn(0, N, 2, 2.0)
    t = np.random.default_rng(1).beta(0.5, 0.5, N)
    truth = cross_validated_gain(PlattScaling("logits"), z[:, 1], t, soft_labels=True)
    request.getfixturevalue("few_are_many")
    gain = cross_validated_gain(PlattScaling("logits"), z[:, 1], t, soft_labels=True)
    assert gain.gain == pytest.approx(truth.gain, abs=1e-7)


def test_soft_labels_without_the_declaration_are_refused():
    with pytest.raises(BadData, match="labels has shape"):
        TemperatureScaling("proba").fit(np.full((20, 2), 0.5), np.full((20, 2), 0.5))


# ----------------------------------------------------------------------------------------------------- clusters


def test_rows_of_a_cluster_are_in_one_fold():
    from crossentropy.evaluation._hashing import hash_values

    cluster = hash_values(np.arange(1000) // 10)
    fold = fold_of_clusters(cluster).reshape(100, 10)
    assert (fold == fold[:, :1]).all()
    assert np.bincount(fold[:, 0], minlength=5).min() > 8


def test_copies_of_rows_gain_nothing_if_they_are_a_cluster():
    z, y = drawn(0, 300, 2)
    z, y, copies = np.repeat(z[:, 1], 20), np.repeat(y, 20), np.repeat(np.arange(300), 20)
    alone = cross_validated_gain(IsotonicCalibration("logits"), z, y)
    together = cross_validated_gain(IsotonicCalibration("logits"), z, y, cluster=copies)
    assert alone.gain > 0.05 > 0.01 > together.gain  # each fold knows the labels of the others' copies
    assert together.standard_error > 2 * alone.standard_error


def answers_of_users(classes, users=80):
    """Logits that are too far apart; a user has 1 to 9 rows, and all of these have the user's luck."""
    r = np.random.default_rng(7)
    user = np.repeat(np.arange(users), 1 + np.arange(users) % 9)
    z = 3 * r.normal(size=(len(user), classes))
    luck = r.gumbel(size=(users, classes))[user]
    return z, (0.5 * z + np.where(user[:, None] % 2, luck, r.gumbel(size=z.shape))).argmax(axis=1), user


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_interval_of_a_temperature_has_the_sandwich_of_clusters(classes, weighted):
    z, y, user = answers_of_users(classes)
    w = np.random.default_rng(1).random(len(y)) if weighted else np.ones(len(y))
    fit = TemperatureScaling("logits").fit(z, y, w if weighted else None, cluster=user)
    plain = TemperatureScaling("logits").fit(z, y, w if weighted else None)
    assert fit.temperature_ == plain.temperature_
    # by d log loss / d log T, of each user, and its derivative, from differences
    t, step, n = np.log(fit.temperature_), 1e-4, len(set(user))

    def losses(t):
        u = z * np.exp(-t)
        return w * (np.log(np.exp(u).sum(axis=1)) - u[np.arange(len(y)), y])

    slopes = np.bincount(user, (losses(t + step) - losses(t - step)) / (2 * step))
    curvature = (losses(t + step) - 2 * losses(t) + losses(t - step)).sum() / step**2
    error = np.sqrt(n / (n - 1) * (slopes**2).sum()) / curvature
    low, high = np.log(fit.temperature_interval_)
    assert high - t == pytest.approx(t - low, rel=1e-9)
    assert high - t == pytest.approx(1.9904502 * error, rel=1e-5)  # Student's quantile of 79
    assert fit.temperature_interval_ != plain.temperature_interval_


def test_the_interval_of_a_temperature_is_that_of_a_bootstrap_of_clusters():
    z, y, user = answers_of_users(3, users=400)
    low, high = np.log(TemperatureScaling("logits").fit(z, y, cluster=user).temperature_interval_)
    r = np.random.default_rng(2)
    drawn_t = []
    for _ in range(300):
        count = np.bincount(r.integers(0, 400, 400), minlength=400)[user].astype(float)
        drawn_t.append(np.log(TemperatureScaling("logits").fit(z, y, count).temperature_))
    # the standard deviation of 300 draws is known within 4 %, 2.5 of which are 10 %
    assert (high - low) / (2 * 1.966) == pytest.approx(np.std(drawn_t), rel=0.1)


def test_one_cluster_has_a_temperature_without_an_interval():
    z, y, _ = answers_of_users(3)
    fit = TemperatureScaling("logits").fit(z, y, cluster=np.zeros(len(y), int))
    assert fit.temperature_interval_ is None


def test_auto_recommends_nothing_to_copies_of_calibrated_rows_in_clusters():
    z, y = drawn(1, 300, 2)
    z, y, copies = np.repeat(z, 20, axis=0), np.repeat(y, 20), np.repeat(np.arange(300), 20)
    assert AutoCalibration("logits").fit(z, y).calibrator_ is not None
    assert AutoCalibration("logits").fit(z, y, cluster=copies).calibrator_ is None
