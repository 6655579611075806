"""Labels of any type, as indices into a sorted list of classes."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossentropy._arguments.words import listed
from crossentropy.training.errors import InputError
from crossentropy.training.tables.columns import Texts, encode_texts

Class = bool | int | str

_WHOLE = re.compile(r"0|-?[1-9]\d*")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")


def encode_labels(
    values: pa.ChunkedArray, name: str, *, as_text: bool = False
) -> tuple[np.ndarray, list[Class]]:
    """Number the classes of a label column.

    Whole numbers, booleans and texts stay what they are, and floats without decimals become whole numbers. Texts that
    are all whole numbers, or all true and false, are numbers or booleans, unless one of them has a leading zero, which
    makes all of them texts. So does a whole number of more than 64 bits. Anything else becomes text.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
    name : str
        Of the column, for errors.
    as_text : bool
        Whether every class is the text that was written.

    Returns
    -------
    labels : numpy.ndarray of int64
        For each row, the index of its class.
    classes : list
        The classes, sorted, as plain Python values.

    Raises
    ------
    InputError
        If labels are missing, have decimals, or are all the same.
    """
    if (
        pa.types.is_nested(values.type)
        or pa.types.is_binary(values.type)
        or pa.types.is_large_binary(values.type)
    ):
        raise InputError(f"Column {name!r} holds lists or the like, which cannot be labels.")
    texts = _as_texts(values)
    _check_complete(texts.codes < 0, name)
    written = texts.distinct.to_pylist()
    plain: list[Class] = list(written) if as_text else _plain(written, name)
    if not _has_room(plain):
        plain = [str(value) for value in plain]
    classes = sorted(set(plain))
    if len(classes) < 2:
        raise InputError(
            f"Column {name!r} holds one class only, {classes[0]!r}: there is nothing to tell apart."
        )
    index = {value: i for i, value in enumerate(classes)}
    return np.array([index[value] for value in plain], dtype=np.int64)[texts.codes], classes


def class_array(classes: list[Class]) -> np.ndarray:
    """Make an array of classes; whole numbers become int64, or uint64 if they need it.

    >>> class_array([1, 2**63]).dtype, class_array(["a", "b"]).dtype
    (dtype('uint64'), dtype('<U1'))
    """
    return np.array(classes, dtype=np.uint64 if _needs_unsigned(classes) else None)


def _needs_unsigned(classes: list[Class]) -> bool:
    """Whether classes are whole numbers beyond those of int64."""
    return all(type(value) is int for value in classes) and max(map(int, classes)) > np.iinfo(np.int64).max


def _has_room(classes: list[Class]) -> bool:
    """Whether whole numbers fit into int64, or all of them into uint64; true for other classes."""
    kind = np.iinfo(np.uint64 if _needs_unsigned(classes) else np.int64)
    return all(kind.min <= value <= kind.max for value in classes if type(value) is int)


def find_classes(values: pa.ChunkedArray, classes: list[Class], *, merged: bool) -> np.ndarray:
    """Find labels of another table among known classes.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
    classes : list
    merged : bool
        Whether labels that are none of the classes belong to the class ``other``.

    Returns
    -------
    numpy.ndarray of int64 (rows,)
        Indices into `classes`, −1 where the label is missing or none of them.
    """
    texts = _as_texts(values)
    index = {str(value): i for i, value in enumerate(classes)}
    rest = index.get("other", -1) if merged else -1
    places = [
        index.get(text, index.get(_same_class(text, classes), rest)) for text in texts.distinct.to_pylist()
    ]
    return np.array([*places, -1], dtype=np.int64)[texts.codes]


def _same_class(text: str, classes: list[Class]) -> str:
    """Write a label as a class of the same type is written: ``2.0`` as 2 among whole numbers, ``true`` as True."""
    if isinstance(classes[0], bool):
        return text.capitalize()
    if isinstance(classes[0], int) and _DECIMAL.fullmatch(text) and float(text).is_integer():
        return str(int(float(text)))
    return text


def keep_classes(
    labels: np.ndarray, classes: list[Class], fewest: int, *, merge: bool
) -> tuple[np.ndarray, np.ndarray, list[Class], str]:
    """Leave out, or merge into one named ``other``, the classes with fewer than `fewest` rows.

    Returns
    -------
    rows : numpy.ndarray
        The rows that are kept.
    labels : numpy.ndarray
        Of these rows, as indices into the new `classes`.
    classes : list
    notice : str
        What was done, empty if nothing was.
    """
    counts = np.bincount(labels, minlength=len(classes))
    rare = counts < fewest
    names = listed([value for value, few in zip(classes, rare, strict=True) if few])
    if not rare.any():
        return np.arange(len(labels)), labels, classes, ""
    kept: list[Class] = [value for value, few in zip(classes, rare, strict=True) if not few]
    what = f"Classes with fewer than {fewest} rows ({names}; {int(counts[rare].sum())} rows)"
    if merge:
        merged: list[Class] = sorted({*map(str, kept), "other"})
        place = [
            merged.index("other" if few else str(value)) for value, few in zip(classes, rare, strict=True)
        ]
        rows, labels, classes = np.arange(len(labels)), np.array(place)[labels], merged
        notice = f"{what} are merged into one, 'other'."
    else:
        rows = np.flatnonzero(~rare[labels])
        labels, classes = (np.cumsum(~rare) - 1)[labels[rows]], kept
        notice = f"{what} are left out."
    if len(classes) < 2:
        raise InputError(
            f"{what} are too small, and fewer than two classes remain: pass a smaller --min-class."
        )
    return rows, labels, classes, notice


def _as_texts(values: pa.ChunkedArray) -> Texts:
    """Write labels as texts, dates as pandas does; NaN is missing."""
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    elif pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return encode_texts(values)


def _check_complete(missing: np.ndarray, name: str) -> None:
    """Raise InputError if labels are missing."""
    if missing.any():
        count = int(missing.sum())
        rows = "1 row has" if count == 1 else f"{count} rows have"
        raise InputError(
            f"{rows} no label in column {name!r} (empty, NA, null and the like count as missing), the first is row "
            f"{int(missing.argmax())} (counted from 0): label them or remove them."
        )


def _plain(texts: list[str], name: str) -> list[Class]:
    """Read labels as booleans or whole numbers if all of them are, else leave them texts."""
    if {text.lower() for text in texts} <= {"true", "false"}:
        return [text.lower() == "true" for text in texts]
    if all(_WHOLE.fullmatch(text) for text in texts):
        return [int(text) for text in texts]
    if not all(_DECIMAL.fullmatch(text) or text in ("inf", "-inf") for text in texts):
        return list(texts)
    if any(re.match(r"[+-]?0\d|\+", text) for text in texts):
        return list(texts)
    broken = [text for text in texts if not float(text).is_integer()]
    if broken:
        raise InputError(
            f"Column {name!r} holds numbers with decimals, such as {broken[0]}: that is a regression target, and a "
            "classifier needs labels. If they are names, such as versions, pass --text with the column."
        )
    return [int(float(text)) for text in texts]
