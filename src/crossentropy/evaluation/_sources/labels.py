"""Labels as a source has them, and the classes they are of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from crossentropy._arguments.words import listed
from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._values import as_label

__all__ = [
    "NO_LABEL",
    "NO_NUMBER",
    "classes_of_columns",
    "classes_of_labels",
    "coded",
    "float_of",
    "kind_of",
    "label_column",
    "typed",
    "value_of",
]

Array = np.ndarray[Any, Any]
#: What stands for a missing number in a text table.
NO_NUMBER = ("", "NA", "N/A", "#N/A", "null", "NULL", "None")
#: And for a missing label where labels are numbers.
NO_LABEL = (*NO_NUMBER, "nan", "NaN", "NAN")


def coded(column: pa.Array) -> Coded:
    """Return a column with each distinct value once; a null is the value None."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode(null_encoding="encode")
    codes = column.indices.fill_null(len(column.dictionary)) if column.indices.null_count else column.indices
    return Coded(np.asarray(codes).astype(np.int64), [*column.dictionary.to_pylist(), None])


def single(column: pa.Array, name: str, advice: str = "write one value in each cell") -> None:
    """Refuse a column that has several values in each cell."""
    if pa.types.is_nested(column.type):
        raise BadData(f"column {name!r} has type {column.type}; pass a column of single values; {advice}")


def kind_of(column: pa.Array, *, is_text: bool) -> str:
    """Say what labels are: "bool", "int", "float" or "text"; texts of a text table by what they look like."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_text:
        return kind_of_texts([x for x in column.unique().to_pylist() if x not in NO_LABEL])
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int"
    return "float" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else "text"


def kind_of_texts(texts: Sequence[str]) -> str:
    """Say what texts stand for.

    >>> kind_of_texts(["0", "1"]), kind_of_texts(["0.0", "1"]), kind_of_texts(["True"]), kind_of_texts(["01"])
    ('int', 'float', 'bool', 'text')
    """
    if not texts:
        return "text"
    if all(x.lower() in ("true", "false") for x in texts):
        return "bool"
    numbers = [_number(x) for x in texts]
    if any(x is None for x in numbers):
        return "text"
    return "int" if all(isinstance(x, int) for x in numbers) else "float"


def _number(text: str) -> int | float | None:
    """Return the number that a text writes; None if it is another text, as is one with zeros at its start."""
    try:
        whole = int(text)
        return whole if str(whole) == text.strip() else None
    except ValueError:
        pass
    value = float_of(text)
    return value if value == value else None


def float_of(text: str) -> float | None:
    """Return the number that a text writes, of Python's forms all but those with underscores; None if it is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def typed(texts: Sequence[str], kind: str) -> tuple[Label, ...]:
    """Return labels that were written as texts as what they are; texts if they are not of that kind."""
    if kind == "bool" and all(text.lower() in ("true", "false") for text in texts):
        return tuple(text.lower() == "true" for text in texts)
    numbers = [_number(text) for text in texts]
    if kind in ("int", "float") and all(x is not None for x in numbers):
        return tuple(int(x) if float(x).is_integer() else x for x in numbers if x is not None)
    return tuple(texts)


def label_column(column: pa.Array, classes: Sequence[Label], *, is_text: bool) -> Any:
    """Return labels as `Columns` takes them; texts that stand for numbers become numbers if the classes are numbers."""
    if (
        pa.types.is_boolean(column.type)
        or pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
    ):
        return column.to_numpy(zero_copy_only=False)
    labels = coded(column)
    if is_text and not isinstance(classes[0], str):
        labels.values = [x if x is None else _as_number(x) for x in labels.values]
    return labels


def _as_number(text: str) -> Label:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = _number(text)
    return text if number is None else number


def value_of(text: str) -> Label:
    """Return the number that a text is the usual form of, as which other formats have it; or the text.

    >>> value_of("7"), value_of("0.5"), value_of("007"), value_of("1.10")
    (7, 0.5, '007', '1.10')
    """
    number = _number(text)
    return text if number is None or str(number) != text else number


def classes_of_columns(parts: Sequence[str], kind: str, *, by_pattern: bool) -> tuple[Label, ...] | None:
    """Return the classes that columns are named for; None if their labels are numbers and the names are not.

    Raises
    ------
    ValueError
        If a pattern found the columns, so that there is no order that could number them.
    """
    classes = typed(parts, kind)
    if kind == "text" or not isinstance(classes[0], str):
        return classes
    if by_pattern:
        raise ValueError(
            f"the labels are numbers, and the columns are named for {listed(parts)}; pass classes= that name the "
            "columns, or list the columns in the order of the classes 0, 1, …"
        )
    return None


def classes_of_labels(labels: pa.Array, kind: str, positive: Label | None) -> tuple[Label, ...]:
    """Return the two classes of one column of predictions, from labels.

    They are 0 and 1 if the labels are numbers. Labels that are texts need the positive one.

    Raises
    ------
    ValueError
        If the classes do not follow from the labels.
    """
    if positive is None and kind != "text":
        return (0, 1)
    missing = ("",) if kind == "text" else NO_LABEL
    found = [x for x in map(as_label, labels.unique().to_pylist()) if x is not None and x not in missing]
    if labels and kind in ("int", "float", "bool") and all(isinstance(x, str) for x in found):
        found = list(typed([str(x) for x in found], kind))
    if not found:
        raise ValueError("the first labels are all missing; pass classes=, the negative and the positive one")
    others = [x for x in found if x != positive]
    if positive is None:
        raise ValueError(
            f"the labels are names, {listed(found)}; pass positive=, the one that the column of predictions is for, or "
            "classes=, the negative and the positive one"
        )
    if len(others) != 1:
        raise ValueError(
            f"positive={positive!r} is one of two classes, and the first labels beside it are "
            f"{listed(others) or 'none'}; pass classes=, the negative and the positive one"
        )
    return (others[0], positive)
