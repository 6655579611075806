"""From arrays and lists to `Reading`."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._language.counting import counted, with_counts
from crossentropy.evaluation._language.texts import Reading

__all__ = ["reading_of_arrays", "reading_of_rows"]

Array = np.ndarray[Any, Any]


def reading_of_arrays(
    log_probs: Any,
    counts: Mapping[str, Any],
    text: Any,
    document: Any,
    *,
    first_row: int = 0,
    origin: str = "",
) -> Reading:
    """Convert columns: one log-probability a row, or a sequence of them.

    Parameters
    ----------
    log_probs : array (n,), or sequence of n sequences
        None stands for a token without a log-probability.
    counts : mapping
        Arrays (n,) or None by name; with tokens the log-probabilities are those of whole texts.
    text : sequence of n str, optional
        Counts are made of it where they are not given.
    document : array or list (n,) of any values, optional
    first_row : int
        The number of the first row.
    origin : str
        Where the rows are from.
    """
    rows = (
        log_probs
        if isinstance(log_probs, (list, tuple))
        else list(log_probs)
        if _nested(log_probs)
        else log_probs
    )
    lists = _nested(rows)
    if lists:
        lengths = np.asarray([len(row) for row in rows], np.int64)
        flat: Any = list(chain.from_iterable(np.asarray(row, object).tolist() for row in rows))
    else:
        lengths, flat = None, rows
    values, missing = _numbers(flat)
    numbers = {name: _floats(x, name) for name, x in counts.items()}
    sums = counts["tokens"] is not None
    if text is not None:
        wrong = next((x for x in text if not isinstance(x, (str, type(None)))), None)
        if wrong is not None:
            raise BadData(f"a text is {wrong!r:.60}, of type {type(wrong).__name__}; pass str")
        numbers = with_counts(numbers, counted(list(text), words=sums or lists))
    return reading_of_rows(
        values,
        missing,
        lengths,
        np.arange(first_row, first_row + (len(values) if lengths is None else len(lengths))),
        numbers,
        None if document is None else hash_values(document),
        sums=sums,
        origin=origin,
    )


def reading_of_rows(
    values: Array,
    missing: Array,
    lengths: Array | None,
    names: Array,
    counts: Mapping[str, Array | None],
    document: Array | None,
    *,
    sums: bool,
    **others: Any,
) -> Reading:
    """Put columns of one length together; `others` are further fields of `Reading`."""
    if sums and lengths is not None:
        raise ValueError(
            "tokens= says how many tokens each log-probability is the sum of, and log_probs has one for each token; "
            "leave tokens out"
        )
    for name, column in {**counts, "document": document}.items():
        if column is not None and len(column) != len(names):
            raise BadData(
                f"{name} has {len(column)} rows, and log_probs has {len(names)}; pass columns of one length"
            )
    return Reading(values, missing, lengths, names, counts, document, sums=sums, **others)


def _nested(rows: Any) -> bool:
    """Tell whether each row has several log-probabilities."""
    if getattr(rows, "ndim", 1) == 2:
        return True
    if isinstance(rows, (list, tuple)) or getattr(getattr(rows, "dtype", None), "kind", "") == "O":
        return any(hasattr(row, "__len__") and not isinstance(row, str) for row in rows[:1])
    return False


def _numbers(flat: Any) -> tuple[Array, Array]:
    """Return log-probabilities as float64, and which are missing."""
    array = np.asarray(flat)
    if array.dtype == object:
        missing = np.asarray([x is None for x in array.tolist()], bool)
        array = np.where(missing, 0.0, array)
    else:
        missing = np.zeros(len(array), bool)
    try:
        return np.ascontiguousarray(array, np.float64), missing
    except (TypeError, ValueError):
        wrong = next(x for x in array.tolist() if not isinstance(x, (int, float)))
        raise BadData(
            f"log_probs has {wrong!r:.60}, of type {type(wrong).__name__}; pass numbers, or None for a token without a "
            "log-probability"
        ) from None


def _floats(counts: Any, name: str) -> Array | None:
    if counts is None:
        return None
    try:
        return np.ascontiguousarray(counts, np.float64)
    except (TypeError, ValueError):
        raise BadData(f"{name} is {counts!r:.60}; pass how many {name} each text has") from None
