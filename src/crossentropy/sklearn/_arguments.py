"""The rows and weights that are passed to the classifier, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from crossentropy.losses import balanced_weights

__all__ = ["Table", "class_counts", "class_weights", "in_words", "read_table"]

#: inputs (rows, features), labels as numbers of classes, and weights or None
Table = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def read_table(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
    classes: np.ndarray | None = None,
    reset: bool = False,
) -> tuple[Table, np.ndarray]:
    """Check rows with labels and leave out those of weight 0.

    Parameters
    ----------
    estimator
        Keeps the number and the names of the features if `reset`, and compares with them if not.
    X, y, sample_weight
    names : tuple of str
        What they are called in an error.
    classes : ndarray, optional
        The sorted labels; by default those that occur.

    Returns
    -------
    table, classes

    Raises
    ------
    ValueError
        If something is wrong with them.
    """
    X, y = validate_data(estimator, X, y, dtype=np.float32, order="C", reset=reset)
    check_classification_targets(y)
    weight = None
    if sample_weight is not None:
        weight = _checked_weight(sample_weight, len(y), names[2])
        kept = weight > 0
        if not kept.all():
            X, y, weight = X[kept], y[kept], weight[kept]
    if classes is None:
        classes = np.unique(y)
    unknown = np.setdiff1d(y, classes).tolist()
    if unknown:
        raise ValueError(
            f"{names[1]} has the label {unknown[0]!r}, which is none of the classes {in_words(classes)}"
        )
    return (X, np.searchsorted(classes, y).astype(np.int64), weight), classes


def in_words(classes: np.ndarray) -> str:
    """List the classes for an error, cut short after a dozen."""
    more = f", … ({len(classes)} in all)" if len(classes) > 12 else ""
    return ", ".join(map(repr, classes[:12].tolist())) + more


def _checked_weight(sample_weight: Any, rows: int, name: str) -> np.ndarray:
    """Convert the weights of rows to float64."""
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise ValueError(
            f"{name} has shape {weight.shape}; it must have a weight for each row, shape ({rows},)"
        )
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name} is {weight[row]} at row {row}; a weight must be finite and not negative")
    if not weight.any():
        raise ValueError(f"{name} is zero for every row; at least one weight must be positive")
    return weight


def class_counts(labels: np.ndarray, weight: np.ndarray | None, classes: int) -> np.ndarray:
    """Count the rows of each class, each with its weight; float64."""
    return np.bincount(labels, weights=weight, minlength=classes).astype(np.float64)


def class_weights(
    class_weight: Any, classes: np.ndarray, labels: np.ndarray, weight: np.ndarray | None
) -> np.ndarray | None:
    """Return the weight of each class in the order of `classes`; None if there are none."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        return np.asarray(balanced_weights(class_counts(labels, weight, len(classes))))
    given, known = dict(class_weight), classes.tolist()
    unknown = [label for label in given if label not in known]
    # A fold may lack a class, but the label may also be a wrong one.
    if unknown and not set(known) <= set(given):
        whole = given | {label: 1.0 for label in known if label not in given}
        raise ValueError(
            f"class_weight has the label {unknown[0]!r}, which is none of the classes {in_words(classes)}; if these "
            f"rows lack it, pass a weight for every class: class_weight={whole}"
        )
    return np.array([given.get(label, 1.0) for label in known], dtype=np.float64)
