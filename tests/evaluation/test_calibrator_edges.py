"""Calibrators at the edges: constant predictions, condensed rows, other data, files that are damaged or cut."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from calibration_data import drawn
from crossentropy.evaluation import BadData, calibrators
from crossentropy.evaluation.calibrators import (
    AutoCalibration,
    BetaCalibration,
    IsotonicCalibration,
    PlattScaling,
    TemperatureScaling,
    VectorScaling,
    cross_validated_gain,
)
from crossentropy.evaluation.calibrators._rows import Rows
from crossentropy.evaluation.calibrators._tables import write_batches


@pytest.mark.parametrize("method", [PlattScaling, BetaCalibration])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.123])
def test_constant_predictions_become_the_frequency_of_label_1(method, p):
    y = np.repeat([0, 1], [70, 30])
    assert method("proba").fit(np.full(100, p), y).predict_proba([p])[0, 1] == pytest.approx(0.3, rel=1e-9)


def test_platt_scaling_of_constant_predictions_has_the_scale_0():
    platt = PlattScaling("proba").fit(np.full(100, 0.123), np.repeat([0, 1], [70, 30]))
    assert platt.coefficients_ == pytest.approx([math.log(3 / 7), 0], rel=1e-9)


def test_condensed_rows_are_smoothed_by_the_number_of_all_rows(monkeypatch):
    monkeypatch.setattr("crossentropy.evaluation.calibrators._rows.MANY", 1000)
    scores = np.repeat([-1.0, 1.0], 5000)
    rows = Rows(scores, (scores > 0).astype(np.int64), 10_000)
    few = rows.condensed
    assert len(few) == 2
    assert few.smoothed().tolist() == [1 / 10_002, 1 - 1 / 10_002]
    assert rows.take(np.arange(10)).smoothed()[0] == 1 / 12


def test_equal_scores_stay_equal_in_condensed_rows(monkeypatch):
    monkeypatch.setattr("crossentropy.evaluation.calibrators._rows.MANY", 1000)
    few = Rows(np.full(5000, 0.1), np.arange(5000) % 3 // 2, 5000).condensed
    assert few.scores.tolist() == [0.1, 0.1]


@pytest.mark.parametrize("p", [np.full(40, 0.5), np.full((40, 3), 1 / 3)])
def test_predictions_that_no_temperature_changes_have_the_temperature_1(p):
    assert TemperatureScaling("proba").fit(p, np.arange(40) % p.ndim).temperature_ == 1


def test_a_bad_row_is_not_advised_to_be_skipped_where_there_is_no_such_argument():
    scaling = TemperatureScaling("proba").fit(np.arange(1, 41) / 42, np.arange(40) % 2)
    for call in (scaling.predict_proba, lambda p: scaling.fit(p, [0, 1])):
        with pytest.raises(BadData, match=r"row 1: a prediction is NaN, in nan$"):
            call([0.5, math.nan])


def test_an_infinite_interval_of_the_temperature_is_none(tmp_path):
    z = np.tile([1e-3, 2.0], 20)
    y = np.tile([1, 1, 0, 0], 10)
    z[0] = 2e-3
    scaling = TemperatureScaling("logits").fit(z, y)
    assert scaling.temperature_interval_ is None
    scaling.save(tmp_path / "c.json")
    assert calibrators.load(tmp_path / "c.json").temperature_ == scaling.temperature_


@pytest.mark.parametrize("fitted_to", [drawn(0, 300, 3), drawn(1, 300, 4)])
def test_a_calibrator_fitted_to_other_data_has_the_gain_of_one_that_is_not_fitted(fitted_to):
    z, y = drawn(2, 400, 5, temperature=2.0)
    fitted = VectorScaling("logits").fit(*fitted_to)
    assert cross_validated_gain(fitted, z, y) == cross_validated_gain(VectorScaling("logits"), z, y)


# ---------------------------------------------------------------------------------------------------------- files


def test_loaded_gains_are_those_that_were_saved(tmp_path):
    auto = AutoCalibration("logits").fit(*drawn(3, 300, 2, temperature=3.0))
    auto.save(tmp_path / "c.json")
    assert calibrators.load(tmp_path / "c.json").gains_ == auto.gains_


def curves(change):
    def of_all(fitted):
        change(fitted["curves"])

    return of_all


DAMAGE = {
    "no shift": (PlattScaling, 2, lambda f: f["coefficients"].pop()),
    "one number": (PlattScaling, 2, lambda f: f.update(coefficients=1.0)),
    "a number is infinite": (BetaCalibration, 2, lambda f: f.update(coefficients=[0.0, 1.0, "Infinity"])),
    "one class less": (VectorScaling, 3, lambda f: f["coefficients"].pop()),
    "one class": (VectorScaling, 3, lambda f: f.update(coefficients=f["coefficients"][:1])),
    "power below 0": (TemperatureScaling, 2, lambda f: f.update(power=-1.0)),
    "power is a list": (TemperatureScaling, 2, lambda f: f.update(power=[1.0])),
    "interval of one end": (TemperatureScaling, 2, lambda f: f.update(interval=[1.0])),
    "a curve less": (IsotonicCalibration, 3, curves(lambda c: c.pop())),
    "a curve more": (IsotonicCalibration, 2, curves(lambda c: c.append(c[0]))),
    "other lengths": (IsotonicCalibration, 2, curves(lambda c: c[0]["to"].pop())),
    "no points": (IsotonicCalibration, 2, curves(lambda c: c[0].update(at=[], to=[]))),
    "not in order": (IsotonicCalibration, 2, curves(lambda c: c[0]["at"].reverse())),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_numbers_that_cannot_be_fitted_ones_are_refused(name, tmp_path):
    method, classes, change = DAMAGE[name]
    tree = json.loads(method("logits").fit(*drawn(4, 1200, classes)).to_json())
    change(tree["fitted"])
    (tmp_path / "c.json").write_text(json.dumps(tree))
    with pytest.raises(BadData, match="is damaged"):
        calibrators.load(tmp_path / "c.json")


def test_a_method_for_two_classes_is_not_loaded_with_three(tmp_path):
    tree = json.loads(PlattScaling("logits").fit(*drawn(5, 100, 2)).to_json())
    tree["classes"] = [0, 1, 2]
    (tmp_path / "c.json").write_text(json.dumps(tree))
    with pytest.raises(BadData, match="is damaged"):
        calibrators.load(tmp_path / "c.json")


def test_a_file_that_cannot_be_finished_is_closed(tmp_path, monkeypatch):
    writers = []

    class Noted(parquet.ParquetWriter):
        def __init__(self, *args):
            super().__init__(*args)
            writers.append(self)

    def batches():
        yield pa.record_batch({"p": [0.5]})
        raise BadData("row 1 is bad")

    monkeypatch.setattr(parquet, "ParquetWriter", Noted)
    with pytest.raises(BadData, match="row 1 is bad"):
        write_batches(batches(), tmp_path / "out.parquet", as_csv=False)
    assert [writer.is_open for writer in writers] == [False]
