"""Predictions and labels of a file, read as they are: the checks find what is wrong with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crossentropy.doctor._sample import Array
from crossentropy.evaluation._faults import without_skipping
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation._sources.convert import predictions_of
from crossentropy.evaluation._sources.labels import label_column
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.roles import find_roles

__all__ = ["read_predictions"]


def read_predictions(
    source: Sequence[str],
    kind: str,
    predictions: Any,
    label: str,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
) -> tuple[Array, Array, tuple[Any, ...]]:
    """Read the columns of predictions (n, C) or (n,), the labels, and the classes of files.

    Labels that are names become the numbers of their columns; numbers stay as they are, so that the checks see
    labels that are counted from 1.

    Parameters
    ----------
    source : files or patterns
    kind : {"logits", "proba", "log_proba"}
    predictions, label
        Names of columns: a name, a list of names, or a pattern; and a name.
    classes, positive
        As `crossentropy.evaluation.evaluate` has them.

    Raises
    ------
    BadData, ValueError
        If a file cannot be read, a cell is no number, or a name of a label is none of the classes.
    """
    request = Request(kind, classes=classes, positive=positive)
    names = Columns(predictions, label)
    parts: list[tuple[Array, Array]] = []
    with without_skipping():
        for table in open_tables(source, skip=False):
            found, roles = find_roles(table, names, request), None
            for piece in table.read(found.roles.names(), found.roles.numeric()):
                if piece.rows.num_rows == 0:
                    continue
                if request.classes is None or not parts:
                    request = found.with_classes(request, piece, typed_classes=False)
                roles = roles or found.in_order(tuple(request.classes or ()))
                x = predictions_of(piece, roles.predictions, table, len(roles.classes))
                labels = label_column(
                    piece.rows.column(roles.labels[0]), roles.classes, is_text=table.is_text
                )
                parts.append((np.asarray(x), _numbers(labels, roles.classes)))
    if not parts:
        raise ValueError(f"there are no rows in {', '.join(source)}; pass predictions")
    x, y = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return x, y, tuple(request.classes or ())


def _numbers(labels: Any, classes: Sequence[Any]) -> Array:
    """Return labels as the numbers of the columns, or as the numbers that they are."""
    if isinstance(labels, np.ndarray):
        return _places(labels.tolist(), classes)
    return np.asarray(_places(list(labels.values), classes)[labels.codes])


def _places(labels: Sequence[Any], classes: Sequence[Any]) -> Array:
    """Return the places of names among the classes; of numbers among classes that are 0, 1, …, themselves."""
    if list(classes) == list(range(len(classes))):
        numbers = [x if isinstance(x, (int, float, np.number)) and x == x else -1 for x in labels]
        return np.asarray(numbers, np.float64 if any(x != int(x) for x in numbers) else np.int64)
    places = {label: place for place, label in enumerate(classes)}
    unknown = [x for x in labels if x is not None and x not in places]
    if unknown:
        raise ValueError(
            f"the label {unknown[0]!r} is none of the classes {list(classes)[:20]}; pass every class in classes="
        )
    return np.asarray([places.get(x, -1) for x in labels], np.int64)
