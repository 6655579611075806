"""What calibrators gain on other rows, the choice of one, files, and scikit-learn's tools."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from calibration_data import drawn
from crossentropy.evaluation import BadData, calibrators, evaluate
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
from crossentropy.evaluation.calibrators._folds import folds
from evaluation_data import synthetic

SETS = 50


def method_of(auto):
    return None if auto.calibrator_ is None else auto.calibrator_.method


# ------------------------------------------------------------------------------------------------- honest gains


@pytest.mark.parametrize(("n", "classes"), [(200, 2), (1500, 2), (400, 4)])
def test_auto_recommends_nothing_for_predictions_that_are_calibrated(n, classes):
    chosen = [AutoCalibration("logits").fit(*drawn(seed, n, classes)) for seed in range(SETS)]
    assert sum(auto.calibrator_ is None for auto in chosen) >= 45


@pytest.mark.parametrize(("n", "classes"), [(800, 2), (400, 10)])
def test_auto_finds_the_temperature_of_overconfident_predictions_within_its_interval(n, classes):
    chosen = [AutoCalibration("logits").fit(*drawn(seed, n, classes, 2.5)) for seed in range(SETS)]
    assert [method_of(auto) for auto in chosen].count("temperature") >= 48
    intervals = [
        auto.calibrator_.temperature_interval_ for auto in chosen if method_of(auto) == "temperature"
    ]
    assert sum(low <= 2.5 <= high for low, high in intervals) >= 44  # 95 % of 50, less 2 standard deviations


def test_auto_takes_a_method_with_more_parameters_where_one_number_does_not_do():
    z, y = drawn(0, 4000, 2)
    shifted = AutoCalibration("logits").fit(2 * (z[:, 1] - z[:, 0]) + 1.5, y)
    assert method_of(shifted) == "platt"
    z, y = drawn(1, 4000, 3)
    assert method_of(AutoCalibration("logits").fit(z + np.asarray([0.0, 0.0, 2.0]), y)) == "vector"


def test_auto_without_a_choice_leaves_predictions_as_they_are():
    p, y = np.tile([0.25, 0.75], 200), np.tile([0, 0, 0, 1, 1, 1, 0, 1], 50)
    auto = AutoCalibration("proba").fit(p, y)
    assert auto.calibrator_ is None
    assert auto.predict_proba(p)[:, 1] == pytest.approx(p, rel=1e-15)
    assert [gain.method for gain in auto.gains_] == [
        "temperature",
        "platt",
        "beta",
    ]  # too few rows for isotonic


def test_the_gain_is_the_mean_difference_of_losses_of_rows_out_of_their_fold():
    p, y = synthetic()
    weight = np.arange(1000) % 3 + 1.0
    gain = cross_validated_gain(PlattScaling("proba"), p, y, weight, interval=0.9)
    q, fold = np.empty(1000), folds(1000)
    assert np.bincount(fold).min() > 150
    for k in range(5):
        fit = PlattScaling("proba").fit(p[fold != k], y[fold != k], weight[fold != k])
        q[fold == k] = fit.predict_proba(p[fold == k])[:, 1]
    before, after = (evaluate(labels=y, proba=x, weight=weight) for x in (p, q))
    assert gain.log_loss == pytest.approx(before.log_loss, rel=1e-12)
    assert gain.calibrated_log_loss == pytest.approx(after.log_loss, rel=1e-9)
    d = -np.log(np.where(y == 1, p, 1 - p)) + np.log(np.where(y == 1, q, 1 - q))
    mean = np.average(d, weights=weight)
    error = np.sqrt(1000 / 999 * (weight**2 * (d - mean) ** 2).sum()) / weight.sum()
    assert (gain.gain, gain.standard_error) == pytest.approx((mean, error), rel=1e-8)
    assert gain.interval[1] - gain.interval[0] == pytest.approx(2 * 1.6464 * error, rel=1e-4)  # t of 999


# -------------------------------------------------------------------------------------------------------- files

ALL = (
    (TemperatureScaling, 2),
    (PlattScaling, 2),
    (BetaCalibration, 2),
    (IsotonicCalibration, 2),
    (AutoCalibration, 2),
    (TemperatureScaling, 3),
    (VectorScaling, 3),
    (MatrixScaling, 3),
    (IsotonicCalibration, 3),
    (AutoCalibration, 3),
)


@pytest.mark.parametrize(("method", "classes"), ALL)
def test_a_file_gives_the_same_bits_again(method, classes, tmp_path):
    z, y = drawn(0, 1400, classes, 2.0)
    names = ["b", "a", "c"][:classes]
    fit = method("logits", classes=names).fit(z, np.asarray(names)[y])
    fit.save(tmp_path / "c.json")
    again = calibrators.load(tmp_path / "c.json")
    assert type(again) is method
    assert (again.predict_proba(z) == fit.predict_proba(z)).all()
    assert again.to_json() == fit.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "{", "is no calibrator: it is no JSON"),
        (lambda text: "[1]", "is no calibrator: its format is not 'crossentropy calibrator'"),
        (lambda text: text.replace("crossentropy calibrator", "model"), "is no calibrator: its format"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "has version 2, and this release"),
        (lambda text: text.replace('"power"', '"weight"'), "is damaged"),
        (lambda text: text.replace('"temperature"', '"magic"'), "is damaged"),
        (lambda text: text.replace('"logits"', '"magic"'), "is damaged"),
    ],
)
def test_other_files_are_refused(change, words, tmp_path):
    text = TemperatureScaling("logits").fit(*drawn(0, 50, 2)).to_json()
    (tmp_path / "c.json").write_text(change(text))
    with pytest.raises(BadData, match=words):
        calibrators.load(tmp_path / "c.json")


def test_what_is_not_fitted_cannot_be_saved_or_used():
    for use in (lambda c: c.to_json(), lambda c: c.predict_proba([0.5])):
        with pytest.raises(ValueError, match=r"this PlattScaling is not fitted; call fit"):
            use(PlattScaling("proba"))


def test_a_file_has_its_format_and_version_first():
    tree = json.loads(TemperatureScaling("logits").fit(*drawn(0, 50, 2)).to_json())
    assert list(tree)[:4] == ["format", "version", "method", "kind"]


# ------------------------------------------------------------------------------------------------- scikit-learn


def test_a_calibrator_is_the_last_step_of_a_pipeline():
    z, y = drawn(0, 600, 3, 3.0)
    model = LogisticRegression().fit(z, y)
    pipeline = make_pipeline(FunctionTransformer(model.decision_function), TemperatureScaling("logits"))
    alone = TemperatureScaling("logits").fit(model.decision_function(z), y)
    assert (pipeline.fit(z, y).predict_proba(z) == alone.predict_proba(model.decision_function(z))).all()
    scores = cross_val_score(TemperatureScaling("logits"), z, y, scoring="neg_log_loss")
    assert scores.mean() == pytest.approx(-evaluate(labels=y, logits=z / 3).log_loss, rel=0.02)


def test_a_clone_has_the_parameters_and_is_not_fitted():
    fit = VectorScaling("logits", classes=(0, 1, 2)).fit(*drawn(0, 100, 3))
    copy = clone(fit)
    assert copy.get_params() == {"kind": "logits", "classes": (0, 1, 2)}
    assert not hasattr(copy, "classes_")
    assert copy.set_params(kind="proba").kind == "proba"
    with pytest.raises(ValueError, match="VectorScaling has no parameter 'C'; it has kind, classes"):
        copy.set_params(C=1)


def test_calibrators_need_no_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['scipy'] = None\n"
        "from crossentropy.evaluation.calibrators import AutoCalibration\n"
        "print(AutoCalibration('proba').fit([0.9, 0.2] * 50, [1, 0] * 50).calibrator_)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kind='proba'" in done.stdout


def test_auto_of_many_rows_is_the_choice_of_few_and_its_fit_is_to_all(monkeypatch):
    z, y = drawn(2, 40_000, 2)
    z = 2 * (z[:, 1] - z[:, 0]) + 0.5
    exact = AutoCalibration("logits").fit(z, y)
    monkeypatch.setattr("crossentropy.evaluation.calibrators._rows.MANY", 10_000)
    condensed = AutoCalibration("logits").fit(z, y)
    assert method_of(condensed) == method_of(exact) == "platt"
    assert condensed.calibrator_.coefficients_ == pytest.approx(exact.calibrator_.coefficients_, rel=1e-10)
    for gain, truth in zip(condensed.gains_, exact.gains_, strict=True):
        tolerance = 1e-4 if gain.method == "isotonic" else 1e-7
        assert gain.gain == pytest.approx(truth.gain, abs=tolerance)


def test_many_rows_of_two_predictions_are_calibrated():
    p, y = np.tile([0.05, 0.95], 50_000), np.tile([0, 1, 0, 1, 0, 1, 0, 1, 1, 0], 10_000)
    auto = AutoCalibration("proba").fit(p, y)
    assert method_of(auto) == "temperature"
    assert auto.predict_proba([0.95])[0, 1] == pytest.approx(0.8, rel=1e-12)
