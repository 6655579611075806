"""Bring another table into the form that a fitted encoder takes: the same columns, of the same kinds."""

import numpy as np
import pandas as pd
import pyarrow as pa

from crossentropy._arguments.words import listed
from crossentropy.training.errors import InputError, counted
from crossentropy.training.tables.columns import (
    PLACEHOLDERS,
    Texts,
    encode_texts,
    is_text,
    to_categories,
    to_dates,
    to_numbers,
)
from crossentropy.training.tables.date_texts import parse_dates
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.number_texts import read_numbers
from crossentropy.training.tables.raw import RawTable

#: a column is refused if more than this share of its filled cells are not of the kind that training had
WRONG = 0.1


def match_columns(table: RawTable, fates: list[Fate]) -> tuple[pd.DataFrame, list[str]]:
    """Read the predictors of a finished run from another table, by their names, as training read them.

    The order of the columns does not matter. Columns that training had not, or did not use, are not looked at. Single
    cells of another kind are missing.

    Parameters
    ----------
    table : RawTable
    fates : list of Fate
        Of the table that was trained on.

    Returns
    -------
    features : pandas.DataFrame
        The predictors, in the order of `fates`.
    notices : list of str
        What does not fit.

    Raises
    ------
    InputError
        If a predictor is not there, or most of its values are of another kind.
    """
    wanted = [fate for fate in fates if fate.use in ("number", "category", "date")]
    lost = [fate.column for fate in wanted if fate.column not in table.columns]
    if lost:
        raise InputError(
            f"The table has no column {listed(lost)}, which the model was trained on; its columns are "
            f"{listed(table.columns)}."
        )
    new = [name for name in table.columns if name not in {fate.column for fate in fates}]
    notices = [f"Columns that training did not have are not used: {listed(new)}."] if new else []
    features = {}
    for fate in wanted:
        read = {"number": _numbers, "date": _dates, "category": _categories}[fate.use]
        values, wrong, filled = read(table.columns[fate.column], fate, table.decimal)
        if wrong > WRONG * filled:
            raise InputError(
                f"Column {fate.column!r} held {fate.use} values in training, and {wrong} of its {filled} filled cells "
                f"hold something else, such as {_example(table.columns[fate.column])}."
            )
        if wrong:
            cells = counted(wrong, "cell")
            notices.append(f"Column {fate.column!r}: {cells} without a {fate.use}, taken as missing.")
        features[fate.column] = values
    return pd.DataFrame(features, copy=False), notices


def _numbers(values: pa.ChunkedArray, fate: Fate, decimal: str) -> tuple[pd.Series, int, int]:
    """Read numbers with the unit of training, in this table's own decimal mark or that of training."""
    numbers = to_numbers(values)
    if numbers is not None:
        return pd.Series(numbers), 0, len(numbers)
    texts = _texts(values)
    if texts is None:
        return pd.Series(dtype=np.float64), len(values), len(values)
    tried = []
    for mark in dict.fromkeys((decimal, fate.form.get("decimal", "."))):
        read = read_numbers(texts.distinct, mark)
        found = np.where(read.units == fate.form.get("unit", ""), read.values, np.nan)
        tried.append(found)
    best = max(tried, key=lambda found: texts.counts[~np.isnan(found)].sum())
    return pd.Series(texts.spread(best, np.nan)), *_wrong(texts, np.isnan(best))


def _dates(values: pa.ChunkedArray, fate: Fate, decimal: str) -> tuple[pd.Series, int, int]:
    """Read dates in the format of training."""
    dates = to_dates(values)
    if dates is not None:
        return pd.Series(dates), 0, len(dates)
    texts = _texts(values)
    if texts is None:
        return pd.Series(dtype="datetime64[us]"), len(values), len(values)
    found = parse_dates(texts.distinct.to_pylist(), fate.form.get("format", "ISO 8601"))
    return pd.Series(texts.spread(found, np.datetime64("NaT"))), *_wrong(texts, np.isnat(found))


def _categories(values: pa.ChunkedArray, fate: Fate, decimal: str) -> tuple[pd.Series, int, int]:
    """Read texts as they are written; a number is its text."""
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        return pd.Series(dtype=object), len(values), len(values)
    texts = encode_texts(values)
    return to_categories(texts), 0, texts.filled


def _texts(values: pa.ChunkedArray) -> Texts | None:
    """Read texts of a column that could hold them."""
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return encode_texts(values) if is_text(values.type) or pa.types.is_dictionary(values.type) else None


def _wrong(texts: Texts, lost: np.ndarray) -> tuple[int, int]:
    """Count cells that are of another kind, and those that are filled, words for missing left out of both."""
    counted = ~texts.places(PLACEHOLDERS)
    return int(texts.counts[counted & lost].sum()), int(texts.counts[counted].sum())


def _example(values: pa.ChunkedArray) -> str:
    """Write the first filled value."""
    return next((repr(value) for value in values.to_pylist() if value not in (None, "")), "nothing")
