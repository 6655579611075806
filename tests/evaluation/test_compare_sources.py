"""Comparisons of models in several files, and what compare refuses to take for models."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from crossentropy.evaluation import compare
from evaluation_data import synthetic

P, Y = synthetic()
Q = P**1.5
BOTH = pa.table({"y": Y, "p": P, "q": Q})


def in_two_files(folder, column):
    folder.mkdir()
    for part in range(2):
        table = pa.table({"y": Y, "p": column}).slice(500 * part, 500)
        parquet.write_table(table, folder / f"m{part}.parquet")
    return str(folder / "*.parquet")


def of_files(folder, **options):
    sources = {"a": in_two_files(folder / "a", P), "b": in_two_files(folder / "b", Q)}
    return compare(sources, labels="y", proba="p", by_position=True, **options).differences[0]


def test_rows_of_one_number_in_two_files_are_flipped_apart(tmp_path):
    for model, p in (("a", 0.6), ("b", 0.7)):
        for part in range(2):
            parquet.write_table(pa.table({"y": [1] * 6, "p": [p] * 6}), tmp_path / f"{model}{part}.parquet")
    sources = {model: str(tmp_path / f"{model}*.parquet") for model in "ab"}
    result = compare(
        sources, labels="y", proba="p", classes=(0, 1), by_position=True, permutations=20_000
    ).differences[0]
    truth = 2 / 2**12  # 2/2⁶ if the first row of both files had one sign
    assert result.permutation_p_value == pytest.approx(truth, abs=5 * math.sqrt(truth / 20_000))


def test_the_names_of_files_do_not_change_the_test(tmp_path):
    first = of_files(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    assert of_files(tmp_path / "elsewhere").permutation_p_value == first.permutation_p_value


def test_the_worst_rows_of_files_have_the_name_of_their_file(tmp_path):
    rows = of_files(tmp_path, worst=1000).rows
    names = {(Path(row["origin"]).name, row["row"]) for row in rows}
    assert len(names) == len(rows)
    d = -np.log(np.where(Y == 1, Q, 1 - Q)) + np.log(np.where(Y == 1, P, 1 - P))
    first = int(np.abs(d).argmax())
    least = min(row["row"] for row in rows)
    assert Path(rows[0]["origin"]).name == f"m{first // 500}.parquet"
    assert rows[0]["row"] - least == first % 500


def test_rows_with_keys_have_no_file():
    keyed = {"a": BOTH.append_column("id", pa.array(range(1000)))}
    keyed["b"] = keyed["a"].drop_columns("p").rename_columns(["y", "p", "id"])
    row = compare(keyed, labels="y", proba="p", key="id").differences[0].rows[0]
    assert "origin" not in row


@pytest.mark.parametrize("source", ["predictions.csv", Path("predictions.csv"), BOTH])
def test_one_source_needs_the_names_of_models(source):
    words = "pass a mapping from the names of models to sources, or a list of paths. If one source holds all models"
    with pytest.raises(TypeError, match=words):
        compare(source, labels="y", proba="p", by_position=True)


@pytest.mark.parametrize(
    ("sources", "proba", "labels"),
    [
        (None, {}, Y),
        (None, {"a": P}, Y),
        (BOTH, {}, "y"),
        (BOTH, {"a": "p"}, "y"),
        ({"a": BOTH}, "p", "y"),
        ([], "p", "y"),
        (["a.csv", "a.csv"], "p", "y"),
    ],
)
def test_fewer_than_two_models_are_refused(sources, proba, labels):
    with pytest.raises(ValueError, match="pass two or more, the first of which is the reference"):
        compare(sources, labels=labels, proba=proba, by_position=True)


@pytest.mark.parametrize(
    ("source", "what"),
    [("-", "standard input"), (["x.csv", "-"], "standard input"), (BOTH.to_reader(), "a RecordBatchReader")],
)
def test_models_in_a_source_that_can_be_read_once_are_refused(source, what):
    with pytest.raises(ValueError, match=f"{what} can be read only once, and holds more than one model"):
        compare(source, labels="y", proba={"old": "p", "new": "q"})


def test_a_reader_for_each_model_is_taken():
    sources = {"a": BOTH.to_reader(), "b": BOTH.drop_columns("p").rename_columns(["y", "p"]).to_reader()}
    result = compare(sources, labels="y", proba="p", by_position=True).differences
    assert result == compare(labels=Y, proba={"a": P, "b": Q}).differences
