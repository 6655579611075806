"""From arrays and lists to `Reading`."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from crossentropy.evaluation._faults import BadData, Fault
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
    lists = _has_lists(log_probs)
    faults: list[Fault] = []
    if lists:
        rows = list(log_probs)
        lengths, none = _lengths(rows)
        flat: Any = list(chain.from_iterable(_elements(row) for row in rows if row is not None))
        if none.any():
            faults = [Fault("null", none, lambda i: "log_probs is None; pass the list of its tokens")]
    else:
        lengths, flat = None, log_probs
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
        faults=faults,
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


def _is_text(x: Any) -> bool:
    return isinstance(x, (str, bytes))


def _is_list(row: Any) -> bool:
    return hasattr(row, "__len__") and not _is_text(row) and getattr(row, "ndim", 1) > 0


def _has_lists(rows: Any) -> bool:
    """Tell whether each row has several log-probabilities, by the first one that is not None."""
    if getattr(rows, "ndim", 1) > 1:
        return True
    if isinstance(rows, (list, tuple)) or getattr(getattr(rows, "dtype", None), "kind", "") == "O":
        return _is_list(next((row for row in rows if row is not None), None))
    return False


def _lengths(rows: Sequence[Any]) -> tuple[Array, Array]:
    """Return how many log-probabilities each row has, and which rows are None."""
    for i, row in enumerate(rows):
        if row is not None and not _is_list(row):
            raise BadData(
                f"log_probs[{i}] is {row!r:.60}, and other rows are lists; pass the list of each text"
            )
    none = np.asarray([row is None for row in rows], bool)
    return np.asarray([0 if row is None else len(row) for row in rows], np.int64), none


def _elements(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else np.asarray(x, object).tolist()


def _numbers(flat: Any) -> tuple[Array, Array]:
    """Return log-probabilities as float64, and which are missing."""
    try:
        array = np.asarray(flat)
    except (OverflowError, ValueError):  # lists of several lengths
        raise _no_numbers(flat) from None
    if array.ndim == 0:
        raise BadData(f"log_probs is {flat!r:.60}; pass a list of log-probabilities, one for each token")
    if array.ndim > 1:
        raise BadData(
            "log_probs has several numbers for each token; pass the log-probability of each token, not of the "
            "vocabulary"
        )
    missing = np.zeros(len(array), bool)
    if array.dtype == object:
        missing = np.asarray([x is None for x in array.tolist()], bool)
        array = np.where(missing, 0.0, array)
    if array.dtype.kind in "SUT" or (array.dtype == object and any(map(_is_text, array.tolist()))):
        raise _no_numbers(flat)
    try:
        return np.ascontiguousarray(array, np.float64), missing
    except (OverflowError, TypeError, ValueError):
        raise _no_numbers(flat) from None


def _no_numbers(flat: Any) -> BadData:
    """Return the error that names the first value that is neither a number nor None."""
    wrong = next((x for x in _elements(flat) if not isinstance(x, (int, float, np.number, type(None)))), None)
    if wrong is None:
        return BadData(
            "log_probs has an integer too large for float64; pass log-probabilities, which are at most 0"
        )
    return BadData(
        f"log_probs has {wrong!r:.60}, of type {type(wrong).__name__}; pass numbers, or None for a token without a "
        "log-probability"
    )


def _floats(counts: Any, name: str) -> Array | None:
    if counts is None:
        return None
    try:
        return np.ascontiguousarray(counts, np.float64)
    except (OverflowError, TypeError, ValueError):
        raise BadData(f"{name} is {counts!r:.60}; pass how many {name} each text has") from None
