"""Scores in scikit-learn's argument order: scikit-learn's own where that does not clip, and what it refuses."""

import numpy as np
import pytest
from sklearn import metrics

from advice import message_of, typed
from crossentropy import sklearn as face

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(3), size=60)
Y = np.array([RNG.choice(3, p=p) for p in P])
WEIGHT = RNG.uniform(0.5, 2.0, size=60)
NAMES = np.array(["ant", "bee", "cat"])[Y]
CASES = [
    pytest.param(P, Y, None, None, id="classes"),
    pytest.param(P, NAMES, WEIGHT, ["ant", "bee", "cat"], id="named, weighted"),
    pytest.param(P[:, 0], (Y == 0).astype(int), WEIGHT, None, id="binary"),
]
each_case = pytest.mark.parametrize(("p", "y", "weight", "labels"), CASES)


@each_case
def test_losses_and_skills_are_those_of_scikit_learn(p, y, weight, labels):
    given = {"sample_weight": weight, "labels": labels}
    pairs = [
        (face.log_loss, metrics.log_loss),
        (face.log_loss_skill, metrics.d2_log_loss_score),
    ]
    if hasattr(
        metrics, "d2_brier_score"
    ):  # from scikit-learn 1.8 on; before it, Brier's score had two classes
        pairs += [
            (face.brier_score, metrics.brier_score_loss),
            (face.brier_skill, metrics.d2_brier_score),
        ]
    for own, theirs in pairs:
        assert own(y, p, **given) == pytest.approx(theirs(y, p, **given), rel=1e-12), own.__name__


@each_case
def test_brier_s_score_and_skill_are_those_of_the_definition(p, y, weight, labels):
    hit = y if p.ndim == 1 else y[:, None] == np.array(labels or [0, 1, 2])

    def score(p):
        return np.average(((p - hit) ** 2).reshape(len(y), -1).sum(axis=1), weights=weight)

    expected = score(p)
    skill = 1 - expected / score(np.average(hit, axis=0, weights=weight))
    given = {"sample_weight": weight, "labels": labels}
    assert face.brier_score(y, p, **given) == pytest.approx(expected, rel=1e-12)
    assert face.brier_skill(y, p, **given) == pytest.approx(skill, rel=1e-12)


def test_a_loss_is_not_clipped():
    assert face.log_loss([0, 1], [1e-300, 1.0]) == pytest.approx(-np.log1p(-1e-300) / 2, abs=1e-300)
    assert face.log_loss([1, 1], [1e-300, 1.0], labels=[0, 1]) == pytest.approx(
        -np.log(1e-300) / 2, rel=1e-14
    )
    assert face.log_loss([1, 0], [0.0, 0.5]) == np.inf


def test_labels_are_those_of_the_columns_in_their_order():
    expected = face.log_loss(NAMES, P)
    assert face.log_loss(NAMES, P[:, ::-1], labels=["cat", "bee", "ant"]) == pytest.approx(
        expected, rel=1e-14
    )


def test_soft_labels_are_distributions_of_the_rows():
    soft = RNG.dirichlet(np.ones(3), size=60)
    expected = -np.average((soft * np.log(P)).sum(axis=1), weights=WEIGHT)
    assert face.log_loss(soft, P, sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-13)
    expected = np.average(((soft - P) ** 2).sum(axis=1), weights=WEIGHT)
    assert face.brier_score(soft, P, sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-13)


def test_a_class_that_does_not_occur_has_to_be_declared():
    y = np.where(Y == 2, 0, Y)
    with pytest.raises(ValueError, match=r"2 different labels, but y_proba 3 columns; .*labels="):
        face.log_loss(y, P)
    assert face.log_loss(y, P, labels=[0, 1, 2]) == pytest.approx(metrics.log_loss(y, P, labels=[0, 1, 2]))


def test_a_skill_of_one_class_is_nan():
    assert np.isnan(face.log_loss_skill([1, 1], [0.5, 0.6], labels=[0, 1]))
    assert np.isnan(face.brier_skill([1, 1], [0.5, 0.6], labels=[0, 1]))


def test_a_calibration_error_is_the_mean_distance_of_the_bins():
    p, y = RNG.random(500), RNG.random(500) < 0.4
    bins = np.minimum((p * 10).astype(int), 9)
    expected = sum(abs((p - y)[bins == b].sum()) for b in range(10)) / 500
    assert face.calibration_error(y.astype(int), p, n_bins=10) == pytest.approx(expected, rel=1e-12)
    errors = {face.calibration_error(y.astype(int), p, strategy=s) for s in ("uniform", "quantile", "smooth")}
    assert len(errors) == 3
    with pytest.raises(ValueError, match="strategy is 'equal'"):
        face.calibration_error(y.astype(int), p, strategy="equal")


@pytest.mark.parametrize(
    ("y", "p", "match"),
    [
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "sum"),
        ([0, 1], [1.5, 0.5], "1.5"),
        ([0, 1, 1], [0.5, 0.5], "rows|shape|length|labels"),
    ],
)
def test_what_are_no_probabilities_of_the_rows_is_refused(y, p, match):
    with pytest.raises(ValueError, match=match):
        face.log_loss(y, p)


def test_a_column_of_probabilities_is_asked_for_as_a_vector():
    names = {"log_loss": face.log_loss, "y_proba": np.array([[0.2], [0.7]])}
    said = message_of(ValueError, "log_loss([0, 1], y_proba)", **names)
    y_proba = typed(said, r"y_proba\[:, 0\]", **names)
    assert face.log_loss([0, 1], y_proba) == pytest.approx(-np.log([0.8, 0.7]).mean())
