"""Columns that name or count rows."""

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.training.tables.columns import describe_column
from crossentropy.training.tables.identify import rises_with_rows, why_no_predictor

RANDOM = np.random.default_rng(0)
PLACES = RANDOM.permutation(100)
WITH_GAPS = np.sort(RANDOM.permutation(1000)[:100])


def why(values, name="x", unnamed=False) -> str:
    column = describe_column(pa.chunked_array([pa.array(values)]))
    return why_no_predictor(name, column, unnamed)


@pytest.mark.parametrize(
    ("values", "name", "unnamed", "reason"),
    [
        (np.arange(100), "x", False, "counts the rows"),
        (np.arange(1000, 0, -10), "x", False, "counts the rows"),
        ([str(i) for i in range(100)], "x", False, "counts the rows"),
        (PLACES, "x", False, "numbers the rows, each number once"),
        (WITH_GAPS, "Unnamed: 0", True, "no name and numbers the rows"),
        (np.tile(np.arange(50), 2), "Unnamed: 0", True, "no name and counts rows"),
        (WITH_GAPS, "user_id", False, "called an id"),
        (RANDOM.permutation(10**6)[:100] + 10**17, "x", False, "too long to be quantities"),
        ([f"u{i}" for i in PLACES], "x", False, "100 different texts in 100 rows"),
        ([f"u{i // 2}" for i in range(99)] + [f"{i}!" for i in range(5)], "x", False, "different texts"),
        ([5] * 20, "x", False, "same value in every row"),
        ([""] * 20, "x", False, "holds no value"),
    ],
)
def test_a_column_that_says_nothing_of_other_rows_is_left_out(values, name, unnamed, reason):
    assert reason in why(values, name, unnamed)


@pytest.mark.parametrize(
    ("values", "name", "unnamed"),
    [
        (WITH_GAPS, "income", False),
        (RANDOM.normal(size=100), "user_id", False),
        (RANDOM.normal(size=100), "unnamed column 1", True),
        (RANDOM.integers(0, 20, 100), "store_id", False),
        (np.arange(5), "x", False),
        (["x"] * 10 + [None] * 10, "x", False),
        (np.repeat(np.arange(50), 2), "x", False),
    ],
)
def test_other_columns_are_kept(values, name, unnamed):
    assert why(values, name, unnamed) == ""


def test_numbers_and_dates_in_the_order_of_the_rows_are_seen():
    def rises(values):
        return rises_with_rows(describe_column(pa.chunked_array([pa.array(values)])))

    assert rises(WITH_GAPS)
    assert rises(-WITH_GAPS)
    assert rises([f"20{i}-01-01" for i in range(10, 40)])
    assert not rises(PLACES)
    assert not rises([1] * 50)
