"""Labels of any type, as indices into a sorted list of classes."""

import numpy as np
import pandas as pd

from crossentropy.training.errors import InputError

Class = bool | int | str


def encode_labels(column: pd.Series) -> tuple[np.ndarray, list[Class]]:
    """Number the classes of a label column.

    Whole numbers, booleans and texts stay what they are, floats without decimals become whole numbers,
    and anything else, a mixture included, becomes text.

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
    missing = int(column.isna().sum())
    if missing:
        rows = "1 row has" if missing == 1 else f"{missing} rows have"
        raise InputError(
            f"{rows} no label in column {column.name!r} (empty, NA, null and the like count as missing): "
            "label them or remove them."
        )
    try:
        codes, distinct = pd.factorize(column)
    except TypeError:
        raise InputError(f"Column {column.name!r} holds lists or the like, which cannot be labels.") from None
    values = [_plain(value, column.name) for value in distinct.tolist()]
    if len({type(value) for value in values}) > 1:
        values = [str(value) for value in values]
    classes = sorted(set(values))
    if len(classes) < 2:
        raise InputError(
            f"Column {column.name!r} holds one class only, {classes[0]!r}: there is nothing to tell apart."
        )
    index = {value: i for i, value in enumerate(classes)}
    return np.array([index[value] for value in values], dtype=np.int64)[codes], classes


def _plain(value: object, name: object) -> Class:
    """A label as a boolean, a whole number or a text."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        raise InputError(
            f"Column {name!r} holds numbers with decimals, such as {value:g}: that is a regression target, "
            "and a classifier needs labels."
        )
    return str(value)
