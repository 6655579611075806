"""Single values of columns: which are missing, what they are as labels, and how slices are named for them."""

from decimal import Decimal
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._declaration import Label

__all__ = ["are_texts", "as_array", "as_label", "is_missing", "python_values", "slice_name"]

MISSING = ("nan", "NaT", "<NA>")


def is_missing(x: Any) -> bool:
    """Tell whether a value stands for none: None, NaN, NaT, pandas' NA."""
    return x is None or (not isinstance(x, str) and str(x) in MISSING)


def are_texts(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array is one of objects that are all texts."""
    if array.dtype.kind != "O" or not array.flags.c_contiguous:
        return False
    return _native.are_texts(NumpyMemory.address(array), array.size)


def as_array(values: Any) -> np.ndarray[Any, Any]:
    """Return an array; a list of texts and of other values keeps each as it is, where NumPy makes texts of all.

    >>> as_array(["a", float("nan")]).tolist(), as_array([1, 2.5]).tolist()
    (['a', nan], [1.0, 2.5])
    """
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "US" and isinstance(values, (list, tuple)):
        kind = str if array.dtype.kind == "U" else bytes
        if not all(isinstance(x, kind) for x in values):
            return np.fromiter(values, object, len(values))
    return array


def as_label(x: Any) -> Label | None:
    """Return a value as a label: texts and numbers as they are, decimals as numbers, others as their text.

    >>> from datetime import date
    >>> as_label(Decimal("1.0")), as_label(date(2020, 1, 31)), as_label(b"cat"), as_label(None)
    (1, '2020-01-31', 'cat', None)
    """
    if isinstance(x, (str, bool, int, float)):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic):
        return as_label(x.item())
    if isinstance(x, Decimal) and x.is_finite():
        return int(x) if x == int(x) else float(x)
    if isinstance(x, bytes):
        return x.decode("utf-8", "backslashreplace")
    return None if is_missing(x) else str(x)


def slice_name(x: Any) -> str:
    """Return the name of the slice of a value."""
    if is_missing(x):
        return "None"
    return x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else str(x)


def python_values(array: np.ndarray[Any, Any]) -> list[Any]:
    """Return the values of an array as Python has them; times to the microsecond."""
    if array.dtype.kind in "mM" and np.datetime_data(array.dtype)[0] in ("ns", "ps", "fs", "as"):
        array = array.astype(f"{array.dtype.kind}8[us]")
    values: list[Any] = array.tolist()
    return values
