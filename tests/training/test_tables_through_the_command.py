"""Tables that once gave a wrong score with exit code 0, through the whole command."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app

N = 600
RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.normal(size=(N, 4)).round(3), columns=list("abcd"))
SCORE = X @ [2, -1, 1, 0]
LABEL = pd.Series(np.where(SCORE + RANDOM.normal(size=N) > 0, "yes", "no"), name="label")
CLEAN = X.assign(label=LABEL)


def train(folder, content, *arguments, name="t.csv"):
    """Run the command; its stderr on one line, and the history that it wrote."""
    path = folder / name
    if isinstance(content, str):
        path.write_text(content)
    elif name.endswith("parquet"):
        content.to_parquet(path)
    else:
        content.to_csv(path, index=False)
    options = [
        "--epochs",
        "12",
        "--hidden",
        "16",
        "--learning-rate",
        "0.01",
        "--overwrite",
        "--out",
        str(folder / "out"),
    ]
    result = CliRunner().invoke(app, ["train", str(path), *options, *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.stderr
    history = json.loads((folder / "out" / "history.json").read_text())
    return " ".join(result.stderr.replace("│", " ").split()), history


@pytest.fixture(scope="module")
def clean_accuracy(tmp_path_factory):
    return train(tmp_path_factory.mktemp("clean"), CLEAN)[1]["held_out"]["accuracy"]


def assert_as_clean(history, clean_accuracy) -> None:
    deviation = np.sqrt(2 * clean_accuracy * (1 - clean_accuracy) / (N / 5))
    assert abs(history["held_out"]["accuracy"] - clean_accuracy) < 3 * deviation


def test_rows_that_end_in_a_comma_do_not_shift_the_columns(tmp_path, clean_accuracy):
    lines = CLEAN[["label", *X]].to_csv(index=False).splitlines()
    said, history = train(tmp_path, "\n".join([lines[0], *(line + "," for line in lines[1:])]))
    assert "ends in a separator" in said
    assert [column["use"] for column in history["columns"]] == ["label", *["number"] * 4]
    assert_as_clean(history, clean_accuracy)


def test_noise_whose_rows_are_sorted_is_not_learnt_from_the_index(tmp_path):
    noise = pd.DataFrame({"x": RANDOM.normal(size=N), "label": np.sort(LABEL)})
    said, history = train(tmp_path, noise.to_csv())
    assert "unnamed column 1 id it has no name and counts rows" in said
    assert "The rows are sorted by their label" in said
    assert history["held_out"]["accuracy"] < 0.65


def test_large_nearly_constant_numbers_do_not_hide_the_others(tmp_path, clean_accuracy):
    _, history = train(tmp_path, CLEAN.assign(ticket=10**12 + RANDOM.permutation(10**6)[:N]))
    assert_as_clean(history, clean_accuracy)


def test_a_question_mark_does_not_make_a_number_column_categories(tmp_path, clean_accuracy):
    table = CLEAN.astype({"a": object})
    table.loc[77, "a"] = "?"
    said, history = train(tmp_path, table)
    assert "a number 1 1 cell is no number, so missing: '?'" in said
    assert_as_clean(history, clean_accuracy)


@pytest.mark.parametrize("row", range(5))
def test_an_extreme_number_is_blamed_on_its_cell_wherever_it_is(tmp_path, row, clean_accuracy):
    table = CLEAN.copy()
    table.loc[row, "a"] = 1e39
    said, history = train(tmp_path, table)
    assert f"Column 'a' holds 1 extreme number, such as 1e+39 in row {row} (the first row is 0)." in said
    assert_as_clean(history, clean_accuracy)


def test_dates_give_the_same_run_from_text_and_from_parquet(tmp_path):
    days = np.datetime64("2020-01-01") + RANDOM.integers(0, 700, N)
    table = X.assign(day=days, label=LABEL)
    _, text = train(tmp_path, table)
    _, typed = train(tmp_path, table, name="t.parquet")
    assert text["epochs"] == typed["epochs"]
    assert text["columns"][4]["use"] == typed["columns"][4]["use"] == "date"


def test_the_index_of_a_parquet_file_is_not_dropped(tmp_path, clean_accuracy):
    _, history = train(tmp_path, CLEAN.set_index("a"), name="t.parquet")
    assert {column["column"] for column in history["columns"]} == {*CLEAN}
    assert_as_clean(history, clean_accuracy)


def test_labels_with_leading_zeros_are_classes_of_their_own(tmp_path):
    labels = RANDOM.choice(["01", "1", "007", "7"], N)
    _, history = train(tmp_path, X.assign(label=labels))
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert [name for name in predictions if name.startswith("p[")] == ["p[007]", "p[01]", "p[1]", "p[7]"]
    assert history["columns"][-1]["distinct"] == 4
