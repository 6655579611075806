"""Published numbers, and numbers that were recomputed elsewhere."""

import math
from pathlib import Path

import numpy as np
import pytest

from crossentropy.evaluation import evaluate
from evaluation_data import SIX, synthetic


@pytest.fixture(scope="module")
def thousand():
    p, y = synthetic()
    return evaluate(labels=y, proba=p, cluster=np.arange(1000) // 10)


def test_the_six_points_of_reliabilitydiag_have_its_numbers():
    e = evaluate(labels=SIX[1], proba=SIX[0])
    assert e.brier == pytest.approx(0.2266666666666667, abs=1e-15)
    assert e.brier_miscalibration == pytest.approx(0.1016666666666667, abs=1e-15)
    assert e.brier_discrimination == pytest.approx(0.125, abs=1e-15)
    assert e.brier_uncertainty == 0.25
    assert e.log_loss == pytest.approx(0.6986228, abs=5e-8)
    assert e.miscalibration == pytest.approx(0.3237327, abs=5e-8)
    assert e.discrimination == pytest.approx(0.3182571, abs=5e-8)
    assert e.uncertainty == pytest.approx(math.log(2), abs=1e-15)
    assert e.spiegelhalter_z == pytest.approx(0.68853037, abs=5e-9)
    assert e.decomposition == "isotonic"
    assert e.decomposition_error == 0
    score = -math.fsum(map(math.log, (0.6, 0.7, 0.8, 0.1, 0.5, 0.9))) / 6
    best = -(math.log(0.25) + 3 * math.log(0.75)) / 6  # of two blocks: one label of four, and both
    assert e.log_loss == pytest.approx(score, abs=1e-15)
    assert e.miscalibration == pytest.approx(score - best, abs=1e-15)
    assert e.discrimination == pytest.approx(math.log(2) - best, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "value", "tolerance"),
    [
        ("log_loss", 0.498594217622058, 1e-14),
        ("normalized_entropy", 0.739957939353, 1e-12),
        ("skill", 1 - 0.739957939353, 1e-12),
        ("brier", 0.16400925, 1e-14),
        ("miscalibration", 0.043076808239, 1e-12),
        ("discrimination", 0.218296859112, 1e-12),
        ("uncertainty", 0.673814268495, 1e-12),
        ("brier_miscalibration", 0.014431412162, 1e-12),
        ("brier_discrimination", 0.090818162162, 1e-12),
        ("brier_uncertainty", 0.240396, 1e-14),
        ("ece", 0.098, 1e-14),
        ("standard_error", 0.022904642931607, 1e-14),
        ("cox_slope", 1.08016099, 1e-7),
        ("cox_intercept", -0.61906938, 1e-7),
        ("temperature", 0.99346804, 1e-7),
        ("temperature_log_loss", 0.498589601263, 1e-12),
        ("mean_entropy", 0.500000766638488, 1e-14),
    ],
)
def test_the_thousand_rows_have_the_known(thousand, name, value, tolerance):
    assert getattr(thousand, name) == pytest.approx(value, abs=tolerance, rel=0)


def test_the_recalibrations_of_the_thousand_rows_are_those_of_mpmath(thousand):
    """The known numbers were found by an optimizer, to eight digits."""
    from mpmath import exp, findroot, log, log1p, mp, mpf

    rows = []
    for p, y in zip(*synthetic(), strict=True):
        rows.append((log(mpf(p)) - log1p(-mpf(p)), int(y)))

    def slopes(a, b):
        errors = [(z, 1 / (1 + exp(-a - b * z)) - y) for z, y in rows]
        return [mp.fsum(e for _, e in errors), mp.fsum(z * e for z, e in errors)]

    intercept, slope = findroot(slopes, (-0.6, 1.08))
    assert thousand.cox_slope == pytest.approx(float(slope), rel=1e-12)
    assert thousand.cox_intercept == pytest.approx(float(intercept), rel=1e-12)
    beta = findroot(lambda b: slopes(0, b)[1], 1.0)
    assert thousand.temperature == pytest.approx(float(1 / beta), rel=1e-12)


def test_the_standard_errors_of_the_thousand_rows():
    p, y = synthetic()
    e = evaluate(labels=y, proba=p, bins=10)
    assert e.standard_error == pytest.approx(0.017007802323681, abs=1e-14, rel=0)
    assert e.ece == pytest.approx(0.098, abs=1e-14)
    assert e.log_score_z == pytest.approx(-0.095929535387, abs=1e-12, rel=0)
    assert e.spiegelhalter_z == pytest.approx(-0.4602919267, abs=5.1e-11, rel=0)
    clustered = evaluate(labels=y, proba=p, cluster=np.arange(1000) // 10)
    assert clustered.clusters == 100
    other = evaluate(labels=y, proba=p**1.5)
    assert other.log_loss == pytest.approx(0.471674897257573, abs=1e-14, rel=0)
    assert clustered.standard_error * math.sqrt(0.99) == pytest.approx(0.022789831968362, abs=1e-14, rel=0)


@pytest.mark.parametrize("kind", ["logits", "log_proba"])
def test_other_forms_of_the_thousand_predictions_have_the_same_scores(thousand, kind):
    p, y = synthetic()
    x = np.log(p) if kind == "log_proba" else np.log(p) - np.log1p(-p)
    e = evaluate(labels=y, cluster=np.arange(1000) // 10, **{kind: x})
    for name in (
        "log_loss",
        "brier",
        "miscalibration",
        "cox_slope",
        "temperature",
        "log_score_z",
        "smooth_ece",
    ):
        assert getattr(e, name) == pytest.approx(getattr(thousand, name), rel=1e-12), name


def test_a_bayes_classifier_that_is_too_sure_has_a_decomposition():
    """scikit-learn's isotonic regression gives NaN on these predictions."""
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.naive_bayes import GaussianNB

    X, y = datasets.load_breast_cancer(return_X_y=True)
    p = GaussianNB().fit(X[:285], y[:285]).predict_proba(X[285:])
    for e in (
        evaluate(labels=y[285:], proba=p),
        evaluate(labels=y[285:], proba=np.ascontiguousarray(p[:, 1])),
    ):
        assert e.log_loss == pytest.approx(0.3660041488, abs=5e-10)
        assert e.miscalibration == pytest.approx(0.2970294757, abs=5e-10)
        assert e.discrimination == pytest.approx(0.4773512157, abs=5e-10)
        assert e.uncertainty == pytest.approx(0.5463258888, abs=5e-10)
        assert e.brier == pytest.approx(0.0338329478, abs=5e-10)
        assert e.brier_miscalibration == pytest.approx(0.0126642691, abs=5e-10)
        assert e.brier_discrimination == pytest.approx(0.1590906944, abs=5e-10)
        assert e.normalized_entropy == pytest.approx(0.6699374061, abs=5e-10)


def test_a_prediction_next_to_one_breaks_nothing():
    e = evaluate(labels=[0, 1, 1, 1], proba=np.asarray([0.2, 0.7, 1 - 2.0**-53, 1.0]))
    assert e.miscalibration == pytest.approx(e.log_loss, rel=1e-14)  # perfectly sorted: nothing is left
    assert e.discrimination == pytest.approx(e.uncertainty, rel=1e-14)


def test_the_best_temperature_of_ten_rows_is_known_in_closed_form():
    logits = np.tile([2.0, 0.0], (10, 1))
    e = evaluate(labels=[0] * 8 + [1] * 2, logits=logits)
    assert e.log_loss == pytest.approx(0.526928011042973, abs=1e-15)
    assert e.temperature == pytest.approx(2 / math.log(4), rel=1e-14)
    assert e.temperature_log_loss == pytest.approx(0.500402423538188, abs=1e-15)


@pytest.mark.parametrize(("weight", "value"), [(None, 1.4183), ([5.0, 1.0], 3.1087)])
def test_normalized_entropies_of_torcheval(weight, value):
    e = evaluate(labels=[1, 0], proba=np.asarray([0.2, 0.3]), weight=weight)
    assert e.normalized_entropy == pytest.approx(value, abs=5e-5)


def test_scikit_learns_examples():
    e = evaluate(
        labels=["spam", "ham", "ham", "spam"],
        proba=np.asarray([[0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.35, 0.65]]),
        classes=["ham", "spam"],
    )
    assert e.log_loss == pytest.approx(0.21616187468057912, abs=1e-16)
    e = evaluate(labels=[1, 2, 3], proba=np.asarray([[0.5, 0.25, 0.25]] * 3), classes=[1, 2, 3])
    assert e.skill == pytest.approx(-0.051549589285762254, abs=1e-15)

    e = evaluate(labels=[0, 0, 1, 1], proba=np.asarray([0.1, 0.2, 0.7, 0.99]))
    assert e.log_loss == pytest.approx(0.1738073366910675, abs=1e-16)


@pytest.mark.parametrize(
    ("dtype", "value"), [("float64", 36.04365338911715), ("float32", 15.942385152878742)]
)
def test_scikit_learns_price_of_a_certain_error_depends_on_the_dtype(dtype, value):
    e = evaluate(labels=[1], proba=np.zeros(1, dtype), clip="sklearn")
    assert e.log_loss == pytest.approx(value, rel=1e-15 if dtype == "float64" else 2.0**-24)


def test_torchevals_rows_of_logits():
    p = np.asarray([[0.2, 0.3], [0.5, 0.1]])
    found = [
        evaluate(labels=y, logits=np.log(row / (1 - row))) for row, y in zip(p, ([1, 0], [0, 1]), strict=True)
    ]
    assert [e.normalized_entropy for e in found] == pytest.approx([1.4183, 2.1610], abs=5e-5)


def test_yardsticks_three_classes():
    own = [1, 0.8, 0.51, 0.8, 0.6, 0.4]
    p = np.asarray([[x, (1 - x) / 2, (1 - x) / 2] for x in own])
    e = evaluate(labels=list("aaaaaa"), proba=p, classes=list("abc"))
    assert e.log_loss == pytest.approx(-math.fsum(map(math.log, own)) / 6, abs=1e-15)


def test_model_diagnostics_example_of_weighted_soft_labels():
    e = evaluate(
        labels=[0, 0.5, 1, 1],
        proba=np.asarray([0.1, 0.2, 0.8, 0.9]),
        weight=[1, 2, 1, 1],
        soft_labels=True,
    )
    assert e.kl_divergence == pytest.approx(0.17603033705165635, abs=1e-15)


def test_mapies_example_of_spiegelhalters_z():
    e = evaluate(labels=[0, 1, 0, 1, 0], proba=np.asarray([0.1, 0.9, 0.21, 0.9, 0.5]))
    assert e.spiegelhalter_z == pytest.approx(-0.757, abs=5e-4)


def test_relplots_smooth_calibration_errors_within_a_hundredth():
    """relplot cuts its kernel off at ±½, and halves the interval of widths ten times."""
    five = evaluate(labels=[0, 0, 1, 1, 1], proba=np.asarray([0.25, 0.25, 0.55, 0.75, 0.75]))
    assert five.smooth_ece == pytest.approx(0.19896184, rel=1e-2)
    assert evaluate(labels=SIX[1], proba=SIX[0]).smooth_ece == pytest.approx(0.14133038, rel=1e-2)
    p, y = synthetic()
    assert evaluate(labels=y, proba=p).smooth_ece == pytest.approx(0.09799307, rel=1e-3)


@pytest.mark.parametrize(
    ("bins", "norm", "value"), [(2, "ece", 0.29), (2, "maximum_calibration_error", 0.3167)]
)
def test_torchmetrics_example_of_calibration_errors(bins, norm, value):
    e = evaluate(labels=[0, 0, 1, 1, 1], proba=np.asarray([0.25, 0.25, 0.55, 0.75, 0.75]), bins=bins)
    assert getattr(e, norm) == pytest.approx(value, abs=5e-5)


def test_torchmetrics_example_of_three_classes():
    p = np.asarray([[0.25, 0.2, 0.55], [0.55, 0.05, 0.4], [0.1, 0.3, 0.6], [0.9, 0.05, 0.05]])
    e = evaluate(labels=[0, 1, 2, 0], proba=p, bins=3)
    assert (e.ece, e.maximum_calibration_error) == pytest.approx((0.2, 0.7 / 3), abs=1e-15)


# MCB, DSC, UNC and S of the Brier score, the same of the log loss, and relplot's smooth calibration error.
NIAMEY = {
    "Logistic": (0.0170761, 0.0555407, 0.2057462, 0.0508735, 0.1340997, 0.5982974, 0.055948),
    "EMOS": (0.0182829, 0.0304685, 0.2320252, 0.0487362, 0.0765776, 0.6536821, 0.059479),
    "ENS": (0.0660722, 0.0441153, 0.2661677, math.inf, 0.0998267, math.inf, 0.205017),
    "EPC": (0.0223497, 0.0322788, 0.2342818, 0.0575582, 0.0777999, 0.661282, 0.058300),
}


@pytest.mark.parametrize("forecast", NIAMEY)
def test_forecasts_of_precipitation_at_niamey(forecast):
    path = Path(__file__).parent / "niamey_2016.csv"
    table = np.genfromtxt(path, delimiter=",", names=True, skip_header=2)
    e = evaluate(labels=table["obs"].astype(int), proba=np.ascontiguousarray(table[forecast]))
    *known, smooth = NIAMEY[forecast]
    found = (
        e.brier_miscalibration,
        e.brier_discrimination,
        e.brier,
        e.miscalibration,
        e.discrimination,
        e.log_loss,
    )
    assert found == pytest.approx(known, abs=5.1e-8)
    assert e.brier_uncertainty == pytest.approx(0.2442108, abs=5.1e-8)
    assert e.uncertainty == pytest.approx(0.6815236, abs=5.1e-8)
    assert e.smooth_ece == pytest.approx(
        smooth, rel=0.03
    )  # relplot gives predictions of 0 and 1 half their weight
