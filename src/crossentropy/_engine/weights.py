"""Weights of classes and of rows, checked and as arrays of the logits' library."""

from typing import Any

from crossentropy._arguments.arrays import as_floating, as_option
from crossentropy._backends import Array

__all__ = ["along_another_axis", "class_vector", "row_values"]


def class_vector(values: Any, logits: Array, classes: int, name: str) -> Array | None:
    """`values` as one number for each class, shape (C,).

    Raises
    ------
    ValueError
        If its shape is another.
    """
    if values is None:
        return None
    x = like(values, logits, name)
    if tuple(x.shape) != (classes,):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; pass one number for each of the {classes} classes, shape ({classes},)"
            + along_another_axis(x, logits)
        )
    return x


def along_another_axis(x: Array, logits: Array) -> str:
    """What to add of a class vector whose length is that of another axis of the logits: PyTorch's, the second."""
    if logits.ndim < 3 or tuple(x.shape) != (logits.shape[1],):
        return ""
    return f". If the classes of logits of shape {tuple(logits.shape)} are along axis 1, pass axis=1"


def row_values(values: Any, logits: Array, rows: tuple[int, ...], name: str) -> Array | None:
    """`values` as one number for each row.

    Raises
    ------
    ValueError
        If its shape is not that of the rows.
    """
    if values is None:
        return None
    x = like(values, logits, name)
    if tuple(x.shape) != rows:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; pass one number for each row, shape {rows}")
    return x


def like(values: Any, logits: Array, name: str) -> Array:
    """`values` as a floating array of the logits' library, on their device; its own dtype if it has one."""
    return as_floating(as_option(values, name, logits))
