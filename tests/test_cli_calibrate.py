"""``crossentropy calibrate``: fit, gains, application to files, exit codes."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from calibration_data import drawn
from crossentropy.cli.app import app
from crossentropy.evaluation import calibrators
from evaluation_files import FORMATS, write

NAMES = np.asarray(["ant", "bee", "cat"])
Z, Y = drawn(0, 1400, 3, 2.5)
ROWS = pa.table(
    {"y": NAMES[Y], "note": ['a,"b"', "c"] * 700} | {f"z_{n}": Z[:, k] for k, n in enumerate(NAMES)}
)


def invoke(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)], env={"COLUMNS": "80"})


def fitted(source, save, *options):
    return invoke(source, "--label", "y", "--logits", "z_*", "--save", save, *options)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(ROWS, tmp_path_factory.mktemp("rows") / "rows.parquet")


@pytest.mark.parametrize("method", ["temperature", "vector", "matrix", "isotonic", "auto"])
def test_the_file_is_the_calibrator_that_python_fits(method, path, tmp_path):
    done = fitted(path, tmp_path / "c.json", "--method", method)
    assert (done.exit_code, done.stderr) == (0, "")
    from_file = calibrators.load(tmp_path / "c.json")
    alone = type(from_file)("logits", classes=NAMES.tolist()).fit(Z, NAMES[Y])
    assert from_file.method == method
    np.testing.assert_allclose(from_file.predict_proba(Z), alone.predict_proba(Z), rtol=1e-9)


def test_gains_are_printed_with_their_interval_before_a_method_is_recommended(path, tmp_path):
    printed = json.loads(fitted(path, tmp_path / "c.json", "--method", "temperature", "--json").stdout)
    gain = calibrators.cross_validated_gain(calibrators.TemperatureScaling("logits"), Z, Y)
    assert printed["gains"] == json.loads(json.dumps([vars(gain)]))
    assert printed["verdict"].startswith("temperature is recommended: its gain is beyond chance.")
    table = fitted(path, tmp_path / "c.json")
    assert f"{gain.log_loss:.6f} │   {gain.calibrated_log_loss:.6f} │ {gain.gain:.6f}" in table.stdout
    assert "98.8 % interval" in table.stdout  # of four methods together


def test_predictions_that_are_calibrated_are_left_as_they_are(tmp_path):
    z, y = drawn(1, 400, 2)
    rows = pa.table({"y": y, "z": z[:, 1] - z[:, 0]})
    write(rows, tmp_path / "rows.csv")
    common = (tmp_path / "rows.csv", "--label", "y", "--logits", "z", "--save", tmp_path / "c.json")
    assert "No method has a gain beyond chance: none is recommended" in invoke(*common).stdout
    assert "The gain of platt may be chance" in invoke(*common, "--method", "platt").stdout
    assert calibrators.load(tmp_path / "c.json").method == "platt"


def test_a_fit_with_too_few_rows_for_cross_validation_is_not_recommended(tmp_path):
    write(pa.table({"y": [0, 1] * 5, "q": [0.2, 0.9] * 5}), tmp_path / "rows.csv")
    done = invoke(
        *(tmp_path / "rows.csv", "--label", "y", "--proba", "q"),
        *("--save", tmp_path / "c.json", "--method", "temperature"),
    )
    assert "There are too few rows to estimate the gain of temperature" in done.stdout


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
def test_every_format_is_calibrated_with_its_columns(name, out, tmp_path):
    source = write(ROWS.slice(0, 50), tmp_path / f"rows.{name}")
    save = tmp_path / "c.json"
    scaling = calibrators.TemperatureScaling("logits", classes=NAMES.tolist()).fit(Z, NAMES[Y])
    scaling.save(save)
    done = invoke(source, "--apply", save, "--logits", "z_*", "--out", tmp_path / out)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert "50 rows are in" in done.stderr
    read = pa.csv.read_csv if out.endswith("csv") else parquet.read_table
    result = read(tmp_path / out)
    assert result.column_names == [*ROWS.column_names, *(f"calibrated_{name}" for name in NAMES)]
    assert result["note"].to_pylist() == ROWS["note"].to_pylist()[:50]
    got = np.stack([result[f"calibrated_{name}"].to_numpy() for name in NAMES], axis=1)
    assert (got == scaling.predict_proba(Z[:50])).all()


def test_one_column_has_one_calibrated_column(tmp_path):
    z, y = drawn(2, 100, 2)
    write(pa.table({"y": y, "z": z[:, 1] - z[:, 0]}), tmp_path / "rows.jsonl")
    invoke(
        *(tmp_path / "rows.jsonl", "--label", "y", "--logits", "z"),
        *("--save", tmp_path / "c.json", "--method", "platt"),
    )
    invoke(
        *(tmp_path / "rows.jsonl", "--apply", tmp_path / "c.json"),
        *("--logits", "z", "--out", tmp_path / "out.parquet"),
    )
    result = parquet.read_table(tmp_path / "out.parquet")
    truth = calibrators.PlattScaling("logits").fit(z[:, 1] - z[:, 0], y).predict_proba(z[:, 1] - z[:, 0])
    assert result.column_names == ["y", "z", "calibrated"]
    assert result["calibrated"].to_numpy() == pytest.approx(truth[:, 1], rel=1e-12)


def test_a_bad_row_is_named_and_nothing_is_half_written(path, tmp_path):
    fitted(path, tmp_path / "c.json", "--method", "temperature")
    many = pa.concat_tables([ROWS] * 120)  # the bad row is in the second piece
    bad = many["z_ant"].to_numpy().copy()
    bad[140_000] = np.nan
    write(many.set_column(2, "z_ant", pa.array(bad)), tmp_path / "bad.parquet")
    done = invoke(
        *(tmp_path / "bad.parquet", "--apply", tmp_path / "c.json"),
        *("--logits", "z_*", "--out", tmp_path / "out.csv"),
    )
    assert done.exit_code == 3
    assert "bad.parquet, row 140000: a logit is NaN" in done.stderr
    assert "--on-bad-rows" not in done.stderr  # which is for fitting
    assert {p.name for p in tmp_path.iterdir()} == {"c.json", "bad.parquet"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--logits", "z_*", "--label", "y"), 2, "pass one of --save, to fit"),
        (("--logits", "z_*", "--save", "c.json"), 2, "pass --label"),
        (("--label", "y", "--save", "c.json"), 2, "pass one of --proba, --logits and --log-proba"),
        (
            ("--logits", "z_*", "--label", "y", "--save", "c.json", "--method", "platt"),
            2,
            "use --method vector or --method matrix",
        ),
        (
            ("--proba", "z_*", "--label", "y", "--save", "c.json"),
            3,
            "Pass --logits or --log-proba if these are",
        ),
        (("--logits", "z_*", "--apply", "good.json"), 2, "pass --out"),
        (("--logits", "z_*", "--apply", "good.json", "--out", "x.txt"), 2, "ends in .parquet or .csv"),
        (("--logits", "z_*", "--apply", "no.json", "--out", "x.csv"), 2, "Error: no.json: No such file"),
        (("--proba", "z_*", "--apply", "good.json", "--out", "x.csv"), 2, "was fitted to --logits"),
        (("--logits", "z_*", "--apply", "rows.parquet", "--out", "x.csv"), 3, "is no calibrator"),
        (("--logits", "z_a*", "--apply", "good.json", "--out", "x.csv"), 3, "need (n, 3)"),
        (
            ("--logits", "z_ant,z_bee", "--apply", "good.json", "--out", "x.csv"),
            2,
            "one column for each class",
        ),
    ],
)
def test_wrong_commands_and_files_have_their_exit_codes(arguments, code, words, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(ROWS, tmp_path / "rows.parquet")
    calibrators.TemperatureScaling("logits", classes=NAMES.tolist()).fit(Z, NAMES[Y]).save("good.json")
    done = invoke(path, *arguments)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"rows.parquet", "good.json"}
