"""Another table in the form of the one that was trained on."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crossentropy.training.errors import InputError
from crossentropy.training.tables.describe import describe_predictors
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.match import match_columns
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.raw import RawTable

N = 40
TEXTS = {
    "weight": [f"{i * 7 % 23},5 kg" for i in range(N)],
    "code": [f"0{i % 3}" for i in range(N)],
    "when": [f"{1 + i % 28}.{1 + i % 12}.2020" for i in range(N)],
    "paid": [str(i % 2 == 0).lower() for i in range(N)],
    "nr": [str(i) for i in range(N)],
}


def raw(columns: dict, decimal=",") -> RawTable:
    return RawTable({name: pa.chunked_array([pa.array(v)]) for name, v in columns.items()}, decimal=decimal)


def trained() -> tuple[pd.DataFrame, list[Fate]]:
    columns, _, fates = describe_predictors(raw(TEXTS), "label", ReadOptions())
    return pd.DataFrame({name: column.values for name, column in columns.items()}), fates


FEATURES, FATES = trained()


def assert_same(features: pd.DataFrame) -> None:
    encoder = ColumnEncoder().fit(FEATURES)
    np.testing.assert_array_equal(encoder.transform(features), encoder.transform(FEATURES))


def test_the_same_table_with_columns_shuffled_gives_the_same_inputs():
    fates = [Fate.from_json(fate.to_json()) for fate in FATES]
    features, notices = match_columns(raw(dict(reversed(TEXTS.items()))), fates)
    assert_same(features)
    assert notices == []


def test_a_typed_table_gives_the_same_inputs():
    typed = {
        "weight": [i * 7 % 23 + 0.5 for i in range(N)],
        "code": TEXTS["code"],
        "when": [datetime.date(2020, 1 + i % 12, 1 + i % 28) for i in range(N)],
        "paid": [i % 2 == 0 for i in range(N)],
    }
    assert_same(match_columns(raw(typed), FATES)[0])


def test_numbers_in_the_decimal_mark_of_either_table_are_read():
    points = TEXTS | {"weight": [text.replace(",", ".") for text in TEXTS["weight"]]}
    assert_same(match_columns(raw(points, "."), FATES)[0])
    assert_same(match_columns(raw(TEXTS, "."), FATES)[0])


def test_new_columns_are_named_and_not_used():
    features, notices = match_columns(raw(TEXTS | {"extra": ["x"] * N}), FATES)
    assert_same(features)
    assert notices == ["Columns that training did not have are not used: 'extra'."]


def test_columns_that_training_left_out_need_not_be_there():
    assert_same(match_columns(raw({name: v for name, v in TEXTS.items() if name != "nr"}), FATES)[0])


def test_a_missing_predictor_is_refused_by_name():
    with pytest.raises(InputError, match="no column 'code', which the model was trained on; its columns are"):
        match_columns(raw({name: v for name, v in TEXTS.items() if name != "code"}), FATES)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight", ["heavy"] * N),
        ("weight", ["3,5 lb"] * N),
        ("weight", [datetime.date(2020, 1, 1)] * N),
        ("when", ["yesterday"] * N),
        ("when", [5] * N),
        ("code", [[1]] * N),
    ],
)
def test_a_column_of_another_kind_is_refused_by_name(name, values):
    with pytest.raises(InputError, match=f"Column '{name}' held .* values in training, and {N} of its {N}"):
        match_columns(raw(TEXTS | {name: values}), FATES)


def test_single_cells_of_another_kind_are_missing():
    features, notices = match_columns(raw(TEXTS | {"weight": ["heavy", "?", *TEXTS["weight"][2:]]}), FATES)
    np.testing.assert_array_equal(features["weight"].isna(), [True, True] + [False] * (N - 2))
    assert notices == ["Column 'weight': 1 cell without a number, taken as missing."]


def test_a_column_without_values_is_missing_throughout():
    for values in (pa.nulls(N), [""] * N):
        features, _ = match_columns(raw(TEXTS | {"weight": values, "when": values, "code": values}), FATES)
        assert features[["weight", "when", "code"]].isna().all(axis=None)


def test_numbers_that_were_categories_are_their_texts():
    *_, fates = describe_predictors(raw({"a": ["1", "2"] * N}), "label", ReadOptions(texts=("a",)))
    assert match_columns(raw({"a": [1.0, 2.0]}), fates)[0]["a"].tolist() == ["1", "2"]
