"""A finished run is applied to other tables by ``crossentropy predict``."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import crossentropy.training
from crossentropy.cli.app import app
from crossentropy.training.other_table import read_rows
from crossentropy.training.runs import apply, model
from crossentropy.training.runs.load import load_model
from crossentropy.training.tables.options import ReadOptions


def predict(run, table: pd.DataFrame, folder, *options: object, name: str = "other.csv"):
    """The command's result and its predictions, if there are any."""
    data, out = folder / name, folder / "predictions.csv"
    table.to_parquet(data) if name.endswith("parquet") else table.to_csv(data, index=False)
    result = CliRunner().invoke(app, ["predict", str(run), str(data), "--out", str(out), *map(str, options)])
    return result, pd.read_csv(out) if out.exists() else None


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    return predictions[["p[maybe]", "p[no]", "p[yes]"]].to_numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["other.csv", "other.parquet"])
def test_any_of_the_held_out_rows_in_any_order_have_the_same_probabilities_to_the_bit(
    mixed_table, mixed_run, tmp_path, seed, name
):
    held_out = pd.read_parquet(mixed_run / "predictions.parquet")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(held_out))[: (1, 7, len(held_out))[seed]]
    held_out = held_out.iloc[chosen].reset_index(drop=True)
    table = pd.read_csv(mixed_table).iloc[held_out["row"]]
    result, predictions = predict(
        mixed_run, table.sample(frac=1, axis=1, random_state=seed), tmp_path, name=name
    )
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(probabilities(predictions), probabilities(held_out))
    for column in ("id[id]", "label", "predicted"):
        assert predictions[column].tolist() == held_out[column].tolist()
    assert predictions["row"].tolist() == list(range(len(chosen)))


def test_with_labels_the_predictions_are_scored(mixed_table, mixed_run, tmp_path):
    result, predictions = predict(mixed_run, pd.read_csv(mixed_table), tmp_path)
    shown = f"{(predictions['label'] == predictions['predicted']).mean():.2%}"
    assert "400 rows with labels" in result.stdout
    assert f"accuracy          │ {shown:>13} │" in result.stdout


def test_a_long_table_is_predicted_by_blocks_to_the_same_bits_and_each_is_told(
    mixed_table, mixed_run, tmp_path, monkeypatch
):
    loaded = load_model(mixed_run)
    rows, _ = read_rows(str(mixed_table), loaded.fates, loaded.classes, ReadOptions())
    whole = loaded.log_probabilities(rows.features)
    monkeypatch.setattr(model, "ROWS_AT_ONCE", 150)
    done = []
    np.testing.assert_array_equal(loaded.log_probabilities(rows.features, done.append), whole)
    assert done == [150, 300, 400]


@pytest.mark.parametrize("rows_at_once", [150, 400], ids=["long table", "short table"])
def test_a_terminal_shows_a_progress_bar_for_a_long_table(mixed_table, mixed_run, monkeypatch, rows_at_once):
    for module in (apply, model):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    apply.apply_model(load_model(mixed_run), str(mixed_table), ReadOptions(), terminal)
    assert ("400/400" in terminal.file.getvalue()) == (rows_at_once < 400)


def test_without_labels_only_the_predictions_are_written(mixed_table, mixed_run, tmp_path):
    result, predictions = predict(mixed_run, pd.read_csv(mixed_table).drop(columns="label"), tmp_path)
    assert "label" not in predictions
    assert "log loss" not in result.stdout
    assert "has the predictions of 400 rows" in " ".join(result.stdout.split())


def test_columns_that_are_new_and_labels_that_are_new_are_said(mixed_table, mixed_run, tmp_path):
    table = pd.read_csv(mixed_table).assign(note="x").replace({"label": {"maybe": "never"}})
    result, predictions = predict(mixed_run, table, tmp_path)
    assert "not used: 'note'" in result.stderr
    assert "58 rows have no label in column 'label', or one that training did not have" in result.stderr
    assert predictions["label"].isna().sum() == 58
    assert "342 rows with labels" in result.stdout


def test_a_category_that_is_new_is_predicted_as_a_rare_one(mixed_table, mixed_run, tmp_path):
    table = pd.read_csv(mixed_table).assign(color="violet")
    result, predictions = predict(mixed_run, table, tmp_path)
    assert result.exit_code == 0
    assert (
        "'color': 400 of 400 rows hold a category that the training rows do not have, such as 'violet'"
        in result.stderr
    )
    assert np.isfinite(probabilities(predictions)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="size"), "no column 'size'"),
        (lambda table: table.assign(size="large"), "'size' held number values in training"),
        (lambda table: table.assign(seen="soon"), "'seen' held date values in training"),
    ],
    ids=["missing", "number", "date"],
)
def test_a_column_that_is_missing_or_of_another_kind_is_refused(
    mixed_table, mixed_run, tmp_path, change, words
):
    result, predictions = predict(mixed_run, change(pd.read_csv(mixed_table)), tmp_path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert predictions is None


def test_a_file_that_is_there_is_not_overwritten_unless_asked(mixed_table, mixed_run, tmp_path):
    (tmp_path / "predictions.csv").write_text("mine")
    table = pd.read_csv(mixed_table)
    result, _ = predict(mixed_run, table, tmp_path)
    assert (result.exit_code, (tmp_path / "predictions.csv").read_text()) == (2, "mine")
    assert "--overwrite" in result.stderr
    assert predict(mixed_run, table, tmp_path, "--overwrite")[0].exit_code == 0


@pytest.mark.parametrize(
    ("run", "out", "words"),
    [
        ("no_such_run", "p.csv", "There is no folder 'no_such_run'"),
        (".", "p.csv", "has no file model.pt"),
        (None, "p.xlsx", "ends in .parquet or .csv"),
    ],
)
def test_wrong_paths_are_said(mixed_table, mixed_run, tmp_path, run, out, words):
    arguments = ["predict", run or str(mixed_run), str(mixed_table), "--out", str(tmp_path / out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_from_python_the_pipeline_gives_the_same_probabilities(mixed_table, mixed_run):
    held_out = pd.read_parquet(mixed_run / "predictions.parquet")
    pipeline = crossentropy.training.load(mixed_run)
    frame = pd.read_csv(mixed_table, parse_dates=["seen"]).iloc[held_out["row"]]
    np.testing.assert_array_equal(pipeline.predict_proba(frame), probabilities(held_out))
    assert pipeline.predict(frame).tolist() == held_out["predicted"].tolist()
