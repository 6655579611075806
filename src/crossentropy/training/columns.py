"""Sort predictor columns into numbers and texts, and drop or reject the others."""

import numpy as np
import pandas as pd

from crossentropy.training.errors import InputError

MOST_CATEGORIES = 1000


def prepare_columns(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Convert predictors to float64 columns and columns of texts; NaN is missing in both.

    Columns without a value, and texts that nearly identify the row (more different ones than half of the rows, or than
    `MOST_CATEGORIES`), are dropped, with a notice.

    Returns
    -------
    columns : pandas.DataFrame
    notices : list of str

    Raises
    ------
    InputError
        If a column holds infinite numbers, dates, or values that are neither numbers nor texts.
    """
    columns: dict[str, pd.Series] = {}
    notices = []
    for name, column in table.items():
        kind = _kind(column)
        distinct = column.nunique() if kind == "text" else 0
        if kind == "nothing":
            notices.append(f"Column {name!r} is left out: it holds no value.")
        elif distinct > min(column.count() / 2, MOST_CATEGORIES):
            notices.append(
                f"Column {name!r} is left out: {distinct} different texts in {column.count()} rows."
            )
        else:
            columns[str(name)] = _numbers(column) if kind == "numbers" else _texts(column)
    return pd.DataFrame(columns, index=table.index), notices


def _kind(column: pd.Series) -> str:
    """Classify a column's values: ``"numbers"``, ``"text"`` or ``"nothing"``."""
    if column.count() == 0:
        return "nothing"
    kind = pd.api.types.infer_dtype(column)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return "numbers"
    if kind in ("string", "boolean", "categorical", "mixed-integer"):
        return "text"
    if kind.startswith(("date", "time", "period", "interval")):
        raise InputError(
            f"Column {column.name!r} holds dates or times: turn them into numbers, such as days since a "
            "fixed day, or remove the column."
        )
    raise InputError(f"Column {column.name!r} holds values that are neither numbers nor texts: remove it.")


def _numbers(column: pd.Series) -> pd.Series:
    """Convert a column to float64, or raise InputError if a number is infinite."""
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(numbers).any():
        raise InputError(f"Column {column.name!r} holds infinite numbers: replace them or leave them empty.")
    return pd.Series(numbers, column.index)


def _texts(column: pd.Series) -> pd.Series:
    """Convert a column to texts, NaN where missing."""
    return column.astype(object).map(str).astype(object).where(column.notna(), np.nan)
