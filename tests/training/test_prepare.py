"""The split and the encoding that all trainings of a command share, and the notices about them."""

import numpy as np
import pandas as pd
import pytest

from crossentropy.training.data import load_dataset
from crossentropy.training.options import Options
from crossentropy.training.other_table import read_rows
from crossentropy.training.prepare import prepare
from crossentropy.training.tables.options import ReadOptions

RANDOM = np.random.default_rng(0)
N = 200
ROWS = pd.DataFrame(
    {
        "size": RANDOM.normal(size=N).round(3),
        "color": RANDOM.choice(["red", "green", None], N),
        "day": (pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.integers(0, 900, N), "D")).strftime(
            "%Y-%m-%d"
        ),
        "label": RANDOM.choice(["a", "b"], N),
    }
)


def prepared_from(table: pd.DataFrame, path, test=None):
    table.to_csv(path, index=False)
    dataset = load_dataset(str(path))
    held_out = None
    if test is not None:
        test.to_csv(path.with_name("test.csv"), index=False)
        held_out, _ = read_rows(
            str(path.with_name("test.csv")), dataset.fates, dataset.classes, ReadOptions()
        )
    return prepare(dataset, Options(data=str(path)), held_out=held_out)


def copies(prepared) -> list[str]:
    return [notice for notice in prepared.notices if "among the training rows" in notice]


def test_held_out_rows_that_are_training_rows_too_are_counted(tmp_path):
    table = pd.concat([ROWS, ROWS.iloc[:60]], ignore_index=True)
    prepared = prepared_from(table, tmp_path / "t.csv")
    rows = [tuple(row) for row in table.fillna("").itertuples(index=False)]
    known = {rows[i] for i in prepared.split.train}
    count = sum(rows[i] in known for i in prepared.split.test)
    n = len(prepared.split.test)
    (notice,) = copies(prepared)
    assert notice.startswith(
        f"{count} of the {n} held-out rows ({count / n:.1%}) are also among the training"
    )


@pytest.mark.parametrize("shuffled", [False, True], ids=["as it is", "other order of rows and categories"])
def test_a_table_of_held_out_rows_is_compared_by_its_values(tmp_path, shuffled):
    test = ROWS.iloc[::-1] if shuffled else ROWS
    prepared = prepared_from(ROWS, tmp_path / "t.csv", test[test["color"] != "green"])
    n = len(prepared.held_out.rows)
    count = int(np.sum(ROWS["color"].iloc[prepared.split.train] != "green"))
    (notice,) = copies(prepared)
    assert notice.startswith(f"{count} of the {n} held-out rows")


def test_the_same_row_with_another_label_is_no_copy(tmp_path):
    test = ROWS.assign(label=np.where(ROWS["label"] == "a", "b", "a"))
    assert copies(prepared_from(ROWS, tmp_path / "t.csv", test)) == []


def test_rows_that_are_equal_because_columns_have_few_values_are_not_said(tmp_path):
    few = pd.DataFrame({name: RANDOM.choice(["x", "y"], N) for name in ("a", "b", "c", "label")})
    assert copies(prepared_from(few, tmp_path / "t.csv")) == []


def test_without_copies_nothing_is_said(tmp_path):
    assert prepared_from(ROWS, tmp_path / "t.csv").notices == []
