"""What a column is, from all its values."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crossentropy.training.tables.columns import describe_column

UTC = datetime.timezone.utc
MANY = [str(i) for i in range(2000)]


def describe(values, decimal=".", **options):
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return describe_column(pa.chunked_array([array]), decimal, **options)


@pytest.mark.parametrize(
    ("texts", "numbers", "remark"),
    [
        (["1", "-2.5", "+3e2", ".5", "−4"], [1, -2.5, 300, 0.5, -4], ""),
        (["1", "", "NA", "null", "2"], [1, np.nan, np.nan, np.nan, 2], ""),
        (["1", "?", "2"], [1, np.nan, 2], r"1 cell is no number, so missing: '?'"),
        (["5 kg", "6.5 kg"], [5, 6.5], "numbers with 'kg', which was taken off"),
        (["5%", "6.5%"], [5, 6.5], "numbers with '%', which was taken off"),
        (["$1,234.5", "-$2"], [1234.5, -2], "numbers with '$', which was taken off; thousands marked, as in '1,234.5'"),
        (["1 234 567", "12"], [1234567, 12], "thousands marked, as in '1 234 567'"),
        (["1'234", "(2'000)"], [1234, -2000], "thousands marked, as in \"1'234\""),
        (["1,5", "2,25"], [1.5, 2.25], "decimal mark ','"),
        (["inf", "-Infinity", "1"], [np.inf, -np.inf, 1], ""),
        ([" 1 ", "2\t"], [1, 2], ""),
    ],
)  # fmt: skip
def test_numbers_are_read_in_texts_as_people_write_them(texts, numbers, remark):
    column = describe(texts)
    assert column.kind == "number"
    np.testing.assert_array_equal(column.values, numbers)
    assert "; ".join(column.remarks) == remark


def test_one_text_among_many_numbers_is_a_missing_cell():
    column = describe([*MANY, "oops"])
    assert (column.kind, column.missing, column.distinct) == ("number", 1, 2000)
    assert column.remarks == ("1 cell is no number, so missing: 'oops'",)


@pytest.mark.parametrize(("mark", "decimal"), [(".", "."), (",", ","), (",", ".")])
def test_a_mark_before_three_digits_in_some_of_many_numbers_is_one_of_thousands(mark, decimal):
    numbers = range(10, 100_000, 777)
    assert describe([f"{i:,}".replace(",", mark) for i in numbers], decimal).values.tolist() == list(numbers)


def test_numbers_that_all_have_three_decimals_have_decimals():
    numbers = [i / 1000 for i in range(1001, 9000, 77)]
    assert describe([f"{number:.3f}" for number in numbers]).values.tolist() == numbers


def test_a_unit_that_few_cells_have_is_missing():
    column = describe([*(f"{i} kg" for i in range(100)), "5 lb"])
    assert column.kind == "number"
    assert np.isnan(column.values.iloc[-1])


@pytest.mark.parametrize(
    ("texts", "categories"),
    [
        (["a", "b", None, "a"], ["a", "b", np.nan, "a"]),
        (["1", "2", "3+", "1"], ["1", "2", "3+", "1"]),
        (["01", "1", "007"], ["01", "1", "007"]),
        (["true", "FALSE", ""], ["True", "False", np.nan]),
        (["A1", "A2", "?"], ["A1", "A2", "?"]),
        (["10-20", "20-30"], ["10-20", "20-30"]),
        (["1.2.3", "1.2.4"], ["1.2.3", "1.2.4"]),
    ],
)
def test_texts_that_are_no_numbers_and_no_dates_are_categories(texts, categories):
    column = describe(texts)
    assert column.kind == "category"
    pd.testing.assert_series_equal(column.values.astype(object), pd.Series(categories, dtype=object))


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["2020-01-31", "2021-12-01"], "ISO 8601"),
        (["2020-01-31T00:00:00Z", "2021-12-01 00:00"], "ISO 8601"),
        (["31.01.2020", "1.12.2021"], "%d.%m.%Y"),
        (["01/31/2020", "12/1/2021"], "%m/%d/%Y"),
        (["31/01/2020", "1/12/2021"], "%d/%m/%Y"),
        (["2020/01/31", "2021/12/01"], "%Y/%m/%d"),
        (["31 Jan 2020", "1 Dec 2021"], "%d %b %Y"),
        (["January 31, 2020", "December 1, 2021"], "%B %d, %Y"),
        (["31-Jan-20", "01-Dec-21"], "%d-%b-%y"),
        (["01/31/2020 00:00:00", "12/01/2021 00:00:00"], "%m/%d/%Y %H:%M:%S"),
    ],
)
def test_dates_in_texts_are_those_of_typed_columns(texts, form):
    column = describe(texts)
    assert (column.kind, column.form) == ("date", {"format": form})
    typed = describe([datetime.date(2020, 1, 31), datetime.date(2021, 12, 1)])
    np.testing.assert_array_equal(column.values, typed.values)


def test_days_and_months_that_could_be_exchanged_are_named():
    assert "days and months could be exchanged" in describe(["01/02/2020", "03/04/2020"]).remarks
    assert describe(["01/01/2020", "02/02/2020"]).remarks == ("dates read as %m/%d/%Y",)


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (pa.array([1, None, 3]), "number", [1, np.nan, 3]),
        (pa.array([1.5, float("nan")]), "number", [1.5, np.nan]),
        (pa.array([np.float16(1)]), "number", [1]),
        (pa.array([Decimal("1.5"), None]), "number", [1.5, np.nan]),
        (pa.array([datetime.timedelta(seconds=90)]), "number", [90]),
        (pa.array([datetime.time(1)]), "number", [3600]),
        (pa.array([True, None]), "category", ["True", np.nan]),
        (pa.array(["1", "2"]).dictionary_encode(), "category", ["1", "2"]),
        (pa.array(["1", "2"], pa.large_string()), "number", [1, 2]),
        (
            pa.array([datetime.datetime(2020, 1, 1, 2, tzinfo=UTC)]),
            "date",
            [pd.Timestamp("2020-01-01 02:00")],
        ),
    ],
    ids=str,
)
def test_typed_columns_hold_what_their_types_say(values, kind, read):
    column = describe(values)
    assert column.kind == kind
    pd.testing.assert_series_equal(column.values.astype(object), pd.Series(read, dtype=object))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["", "NA", None], "it holds no value"),
        (pa.array([None, None]), "it holds no value"),
        (pa.array([None, None], pa.float64()), "it holds no value"),
        (
            [*(f"{i} kg" for i in range(30)), *(f"{i} lb" for i in range(30))],
            "different units, 'kg' and 'lb'",
        ),
        (pa.array([[1], [2]]), "type list"),
        (pa.array([b"a", b"b"]), "type binary"),
        (pa.array([{"a": 1}]), "type struct"),
    ],
    ids=str,
)
def test_a_column_that_cannot_be_learnt_from_says_why(values, reason):
    column = describe(values)
    assert column.kind == "none"
    assert reason in column.reason


def test_whole_numbers_that_float64_merges_are_counted_apart():
    numbers = [2**60 + i for i in range(50)]
    assert describe([str(number) for number in numbers]).distinct == 50
    assert describe(numbers).distinct == 50


@pytest.mark.parametrize("values", [["1", "2", "2"], [1, 2, 2], [1.0, 2.0, 2.0]], ids=str)
def test_numbers_are_categories_if_asked(values):
    column = describe(values, as_text=True)
    assert column.kind == "category"
    assert column.values.tolist() == ["1", "2", "2"]
