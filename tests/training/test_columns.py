import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from crossentropy.training.columns import MOST_CATEGORIES, prepare_columns
from crossentropy.training.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [1.0, np.nan, 3.0],
        pd.array([1, None, 3], dtype="Int64"),
        [Decimal("1.5"), None, Decimal("2")],
        pd.Series([1, 2.5, None], dtype=object),
    ],
    ids=["integer", "float", "nullable", "decimal", "object"],
)
def test_numbers_of_any_type_become_float64(values):
    table = pd.DataFrame({"x": values})
    columns, notices = prepare_columns(table)
    expected = [np.nan if pd.isna(value) else float(value) for value in table["x"]]
    np.testing.assert_array_equal(columns["x"].to_numpy(), expected)
    assert columns["x"].dtype == np.float64
    assert not notices


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", None, "a", "b"],
        pd.Categorical(["a", "b", None, "a", "b"]),
        pd.array([True, False, None, True, False], dtype="boolean"),
        pd.Series([1, "b", None, 1, "b"], dtype=object),
    ],
    ids=["text", "category", "boolean", "mixed"],
)
def test_texts_categories_and_booleans_become_texts(values):
    table = pd.DataFrame({"x": values})
    columns, _ = prepare_columns(table)
    assert columns["x"].dtype == object
    assert columns["x"].dropna().tolist() == [str(value) for value in table["x"].dropna()]
    assert columns["x"].isna().tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    "values",
    [
        [f"name {i}" for i in range(30)],
        [None] * 30,
        [np.nan] * 30,
        [f"name {i // 2}" for i in range(29)] + ["x"],
    ],
    ids=["identifiers", "nothing", "no number", "nearly identifiers"],
)
def test_a_column_that_says_nothing_of_other_rows_is_left_out_with_a_notice(values):
    columns, notices = prepare_columns(pd.DataFrame({"x": values, "kept": range(30)}))
    assert list(columns) == ["kept"]
    assert len(notices) == 1
    assert "'x' is left out" in notices[0]


def test_texts_of_too_many_kinds_are_left_out():
    values = [f"kind {i % (MOST_CATEGORIES + 1)}" for i in range(4 * MOST_CATEGORIES)]
    columns, notices = prepare_columns(pd.DataFrame({"x": values}))
    assert columns.empty
    assert f"{MOST_CATEGORIES + 1} different texts" in notices[0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), "dates or times"),
        ([datetime.date(2020, 1, 1)] * 2, "dates or times"),
        (pd.to_timedelta(["1h", "2h"]), "dates or times"),
        ([1.0, np.inf], "infinite"),
        ([[1], [2]], "neither numbers nor texts"),
        ([b"a", b"b"], "neither numbers nor texts"),
        ([1j, 2j], "neither numbers nor texts"),
    ],
)
def test_what_a_network_cannot_take_is_refused_by_the_columns_name(values, sentence):
    with pytest.raises(InputError, match=f"Column 'when' holds .*{sentence}"):
        prepare_columns(pd.DataFrame({"when": values}))
