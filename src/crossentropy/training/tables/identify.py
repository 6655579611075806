"""Find columns that name a row or count the rows, and so say nothing of other rows."""

import re

import numpy as np
import pandas as pd

from crossentropy.training.tables.columns import Column

_ID_NAME = re.compile(
    r"(.*[\W_]|)(id|ids|uuid|guid|index|idx|rowid|row|rownum|nr|no|key)|.*[a-z](Id|ID|Uuid|UUID|Key)",
    re.ASCII,
)
#: an id is different in this share of the rows
NEARLY_ALL = 0.95
FEWEST_ROWS = 10


def named_as_id(name: str) -> bool:
    """Whether a column is called as ids are.

    >>> [named_as_id(name) for name in ("customer_id", "id", "patientId", "width", "ROW")]
    [True, True, True, False, True]
    """
    return bool(_ID_NAME.fullmatch(name) or _ID_NAME.fullmatch(name.lower()))


def why_no_predictor(name: str, column: Column, unnamed: bool) -> str:
    """Say why a column should not be learned from, or nothing if it may.

    It is left out if it

    - holds nothing, or the same value in every row;
    - holds whole numbers that rise or fall by the same step from row to row, or that are consecutive in any order;
    - has no name, or one that a program made up, and holds whole numbers that are all different, or mostly one more
      than in the row before;
    - is called an id, and is different in nearly all rows;
    - holds whole numbers beyond 2^53, which are no quantities, different in nearly all rows;
    - holds texts of which more than half are different.
    """
    if column.kind == "none":
        return column.reason
    rows = len(column.values)
    filled = rows - column.missing
    if column.distinct == 1 and not column.missing:
        return "it holds the same value in every row"
    if column.kind == "category" and column.distinct > filled / 2:
        return f"{column.distinct} different texts in {filled} rows: an id or free text"
    if column.kind == "number":
        return _why_no_quantity(name, column, column.values.to_numpy(), unnamed)
    return ""


def names_rows(name: str, column: Column) -> bool:
    """Whether a column that should not be learned from (see `why_no_predictor`) names the rows, or counts them."""
    return column.distinct > 1 and (
        column.kind == "number" or (column.kind == "category" and named_as_id(name))
    )


def _why_no_quantity(name: str, column: Column, values: np.ndarray, unnamed: bool) -> str:
    """Say why whole numbers that differ from row to row are a name or a count of the rows."""
    rows, filled = len(values), len(values) - column.missing
    known = values[~np.isnan(values)]
    if rows < FEWEST_ROWS or (np.floor(known) != known).any():
        return ""
    if unnamed and (np.diff(values) == 1).mean() > 0.5:
        return "it has no name and counts rows"
    if column.distinct < NEARLY_ALL * filled:
        return ""
    if column.distinct == rows:
        steps = np.diff(values)
        if (steps == steps[0]).all():
            return "it counts the rows"
        if known.max() - known.min() == rows - 1:
            return "it numbers the rows, each number once"
        if unnamed:
            return "it has no name and numbers the rows"
    if np.abs(known).max() > 2.0**53:
        return "its whole numbers are too long to be quantities, and differ from row to row"
    return _called_id(column, filled) if named_as_id(name) else ""


def _called_id(column: Column, filled: int) -> str:
    """The reason to leave out an id."""
    return f"it is called an id, and {column.distinct} values in {filled} rows are different"


def rises_with_rows(column: Column) -> bool:
    """Whether numbers or dates rise, or fall, with every row."""
    if column.kind not in ("number", "date") or column.missing or len(column.values) < FEWEST_ROWS:
        return False
    values: pd.Series = column.values
    return bool(values.is_unique and (values.is_monotonic_increasing or values.is_monotonic_decreasing))
