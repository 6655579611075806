"""From columns of any kind to a checked `Batch`."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from crossentropy.evaluation._batch import Batch, SliceColumn
from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._declaration import Declaration, Label
from crossentropy.evaluation._faults import (
    SKIPPING,
    BadData,
    find_faults,
    missing_values,
    row_sums,
    sum_tolerance,
)
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._values import (
    are_texts,
    as_array,
    as_label,
    is_missing,
    python_values,
    slice_name,
)

__all__ = ["label_indices", "make_batch", "slice_column"]

Array = np.ndarray[Any, Any]
SOFT = ", or soft_labels=True if they are distributions"


def make_batch(
    declaration: Declaration,
    predictions: Any,
    labels: Any,
    *,
    weight: Any = None,
    cluster: Any = None,
    slices: Sequence[Any] = (),
    rows: Any = None,
    first_row: int = 0,
    origin: str = "",
    on_bad_rows: str = "error",
    tolerance: float | None = None,
) -> tuple[Batch, dict[str, int]]:
    """Convert and check the columns of some rows.

    Parameters
    ----------
    declaration : Declaration
    predictions : array (n,) or (n, C) of numbers
        As declared; columns in the order of ``declaration.classes``.
    labels : array or list (n,) of labels; array, shape of `predictions`, if declared soft
    weight : array (n,), optional
    cluster : array or list (n,) of any values, optional
    slices : sequence of arrays or lists (n,) of any values
        One for each declared slice column.
    rows : range, or array or list (n,) of integers or texts, optional
        What rows are called. Left out, they are numbered from `first_row` on.
    origin : str
        Where the rows are from; for messages, and as a part of their names.
    on_bad_rows : {"error", "skip"}
        Whether the first bad row is an error, or bad rows are left out and counted.
    tolerance : float, optional
        How far sums of distributions may be from 1; see `sum_tolerance`.

    Returns
    -------
    (Batch, dict of str to int)
        The rows, and how many were left out for each kind of fault: "nan", "range", "sum", "label", "weight", "null".

    Raises
    ------
    BadData
        If a row cannot be scored, with its origin, its row and the value; or if columns do not fit each other.
    """
    d = declaration
    x = _predictions(d, predictions)
    n = len(x)
    names = range(first_row, first_row + n) if rows is None else _names(rows)
    given = np.asarray(labels) if d.soft else _column(labels, "labels", SOFT)
    y = _soft_labels(given, x) if d.soft else label_indices(given, d.classes)
    w = None
    if d.weighted:
        w = np.ones(n) if weight is None else _weights(weight)
    columns = {"labels": y, "weight": w, "cluster": cluster, "rows": names} | dict(
        zip(d.slices, slices, strict=True)
    )
    for name, column in columns.items():
        if column is not None and len(column) != n:
            raise BadData(
                f"{name} has {len(column)} rows, and predictions have {n}; pass columns of one length"
            )
    if tolerance is None:
        tolerance = sum_tolerance(np.asarray(predictions).dtype, len(d.classes))
    bad, counts = np.zeros(n, bool), {}
    faults = chain(
        find_faults(d, x, y, given, w, tolerance),
        missing_values(cluster, "cluster"),
        missing_values(rows, "key"),
    )
    for fault in faults:
        found = fault.rows & ~bad
        if w is not None and fault.kind != "weight":
            found &= w != 0  # what has no weight may hold anything
        if on_bad_rows == "error" and found.any():
            i = int(found.argmax())
            where = f"{origin}, row {names[i]}" if origin else f"row {names[i]}"
            raise BadData(f"{where}: {fault.sentence(i)}{SKIPPING}")
        if found.any():
            counts[fault.kind] = int(found.sum())
            bad |= found
    if d.clip == "kaggle" and x.ndim == 2:
        sums = row_sums(x)[:, None]
        x = x / np.where(sums > 0, sums, 1.0)
    batch = Batch(
        x,
        y,
        names,
        w,
        None if cluster is None or not d.clustered else _clusters(cluster),
        tuple(slice_column(column) for column in slices),
        origin,
    )
    return (batch.take(~bad) if bad.any() else batch), counts


def _predictions(d: Declaration, predictions: Any) -> Array:
    """Return predictions as a float32 or float64 array of the declared shape, one column contiguous."""
    _refuse_mask(predictions, d.kind)
    x = np.asarray(predictions)
    if x.dtype.kind not in "biuf":
        raise BadData(f"predictions have dtype {x.dtype}; pass numbers")
    if d.clip == "sklearn" and x.dtype == np.float16:
        raise BadData(
            'clip="sklearn" clips by the dtype of the predictions, and float16 is scored as float32; pass float32 or '
            "float64, as scikit-learn is given"
        )
    if not d.one_column and x.ndim == 2 and x.shape[1] == len(d.classes):
        pass
    elif d.one_column and x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    elif not (d.one_column and x.ndim == 1):
        expected = "(n,)" if d.one_column else f"(n, {len(d.classes)})"
        raise BadData(
            f"predictions have shape {x.shape}, and {len(d.classes)} classes, {list(d.classes)[:10]!r}, need "
            f"{expected}"
        )
    x = np.asarray(x, np.float32 if x.dtype in (np.float16, np.float32) else np.float64)
    is_regular = x.ndim == 2 and x.flags.aligned and all(s % x.itemsize == 0 for s in x.strides)
    return x if is_regular else np.ascontiguousarray(x)


def _column(values: Any, name: str, advice: str = "") -> Any:
    """Return a column as a one-dimensional array, or as it is if it is `Coded`."""
    if isinstance(values, Coded):
        return values
    _refuse_mask(values, name)
    array = as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise BadData(f"{name} has shape {array.shape}; pass one value for each row{advice}")
    return array


def _weights(weight: Any) -> Array:
    array = _column(weight, "weight")
    if array.dtype.kind not in "biufO":
        raise BadData(f"weight has dtype {array.dtype}; pass numbers")
    if array.dtype.kind == "O":
        array = [np.nan if is_missing(x) else x for x in array.tolist()]
        wrong = [x for x in array if not isinstance(as_label(x), (bool, int, float))]
        if wrong:
            raise BadData(f"weight holds {wrong[0]!r}, which is no number; pass numbers")
    return np.ascontiguousarray(array, np.float64)


def _clusters(cluster: Any) -> Array:
    try:
        return hash_values(cluster)
    except TypeError as error:
        raise BadData(f"cluster has values that have no hash ({error}); pass numbers or texts") from None


def _refuse_mask(values: Any, name: str) -> None:
    if isinstance(values, np.ma.MaskedArray):
        raise BadData(f"{name} is a masked array; pass the rows that are not masked, or {name}.data")


def _names(rows: Any) -> range | Array:
    if isinstance(rows, range):
        return rows
    array = as_array(rows)
    if array.dtype.kind in "biu":
        return np.asarray(array, np.int64)
    if are_texts(array):
        return array
    names = [x if type(x) is int else str(x) for x in array.tolist()]
    return np.fromiter(names, object, len(names))


def _soft_labels(labels: Array, x: Array) -> Array:
    if labels.dtype.kind not in "biuf" or labels.shape != x.shape:
        raise BadData(
            f"soft labels have shape {labels.shape} and dtype {labels.dtype}, and predictions {x.shape}; pass the "
            "probability of each class, in the shape of the predictions"
        )
    return np.ascontiguousarray(labels, np.float64)


def label_indices(labels: Array | Coded, classes: Sequence[Any]) -> Array:
    """Return the index of each label among the classes, −1 where it is none of them; int64, or int8 as it was given.

    Integers, bools and whole floating numbers are compared as numbers, everything else as it is: the text "1" is not
    the number 1.

    Examples
    --------
    >>> import numpy as np
    >>> label_indices(np.asarray(["b", "a", "c"]), ("a", "b")).tolist()
    [1, 0, -1]
    """
    if isinstance(labels, Coded):
        return label_indices(np.asarray([*labels.values, None], object)[:-1], classes)[labels.codes]
    count = len(classes)
    if labels.dtype.kind in "biu" and tuple(classes) == tuple(range(count)):
        inside = labels.min(initial=0) >= 0 and labels.max(initial=0) < count
        if inside and labels.dtype.itemsize == 1 and count <= 128:
            return np.ascontiguousarray(labels).view(np.int8)
        indices = np.ascontiguousarray(labels, np.int64)
        return indices if inside else np.where((indices >= 0) & (indices < count), indices, -1)
    places: dict[Label | None, int] = {label: i for i, label in enumerate(classes)}
    if labels.dtype.kind == "O":
        return np.asarray([places.get(as_label(x), -1) for x in labels.tolist()], np.int64)
    distinct, inverse = np.unique(labels, return_inverse=True)
    found = np.asarray([places.get(as_label(x), -1) for x in python_values(distinct)], np.int64)
    return found[inverse.reshape(-1)] if len(found) else np.zeros(0, np.int64)


def slice_column(values: Any) -> SliceColumn:
    """Return the slice of each row, from values of any kind; each is named by its text.

    Examples
    --------
    >>> column = slice_column(["de", "fr", "de"])
    >>> column.codes.tolist(), list(column.names)
    ([0, 1, 0], ['de', 'fr'])
    """
    array = _column(values, "slice")
    if isinstance(array, Coded):
        return _named_alike(array.codes, [slice_name(x) for x in array.values])
    if array.dtype.kind == "O":
        distinct, codes = np.unique([slice_name(x) for x in array.tolist()], return_inverse=True)
        return SliceColumn(codes.reshape(-1).astype(np.int32), distinct.tolist())
    distinct, codes = np.unique(array, return_inverse=True)
    return _named_alike(codes.reshape(-1), [slice_name(x) for x in python_values(distinct)])


def _named_alike(codes: Array, names: Sequence[str]) -> SliceColumn:
    """Return the slices of codes; those of one name are one slice."""
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return SliceColumn(np.asarray([places[name] for name in names], np.int32)[codes], list(places))
