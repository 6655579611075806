"""The calibration curve and its band, against scikit-learn, exact quantiles, and simulation."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.isotonic import IsotonicRegression

from crossentropy.evaluation import evaluate


def value_of(steps, p):
    """The curve at predictions that occurred."""
    return np.asarray([next(s["frequency"] for s in steps if s["from"] <= x <= s["to"]) for x in p])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_curve_is_isotonic_regression(weighted):
    r = np.random.default_rng(1)
    p = r.integers(1, 100, 500) / 100
    y = (r.random(500) < p**2).astype(int)
    w = r.lognormal(size=500) if weighted else None
    steps = evaluate(labels=y, proba=p, weight=w).calibration_curve
    truth = IsotonicRegression().fit(p, y, sample_weight=w).predict(p)
    np.testing.assert_allclose(value_of(steps, p), truth, atol=1e-12)
    assert sum(s["weight"] for s in steps) == pytest.approx(500 if w is None else w.sum())


def test_each_of_a_few_classes_has_the_curve_of_its_own_question():
    r = np.random.default_rng(2)
    p = r.dirichlet([1, 1, 1, 1], 400)
    y = r.integers(0, 4, 400)
    result = evaluate(labels=y, proba=p)
    for c, of_class in enumerate(result.classes):
        truth = evaluate(labels=(y == c).astype(int), proba=p[:, c]).calibration_curve
        assert [s["frequency"] for s in of_class["calibration_curve"]] == pytest.approx(
            [s["frequency"] for s in truth]
        )


def test_the_band_of_one_prediction_has_the_quantiles_of_the_binomial_distribution():
    p, n = 0.3, 400
    (point,) = evaluate(labels=np.arange(n) % 2, proba=np.full(n, p), interval=0.9).consistency_band
    low, high = binom.ppf([0.05, 0.95], n, p) / n
    assert point["probability"] == pytest.approx(p)
    assert point["lower"] == pytest.approx(low, abs=0.01)  # of 200 draws
    assert point["upper"] == pytest.approx(high, abs=0.01)


def test_curves_of_calibrated_predictions_lie_in_the_band_as_often_as_it_says():
    r = np.random.default_rng(3)
    inside = []
    for _ in range(40):
        p = r.random(1500)
        result = evaluate(labels=(r.random(1500) < p).astype(int), proba=p)
        for point in result.consistency_band:
            at = min(
                result.calibration_curve, key=lambda s: abs(s["from"] + s["to"] - 2 * point["probability"])
            )
            inside.append(point["lower"] <= at["frequency"] <= point["upper"])
    assert 0.9 < np.mean(inside) < 0.99
