"""Weights of classes and of rows, checked and as arrays of the logits' library."""

from typing import Any

from crossentropy._arguments.arrays import as_floating, as_option
from crossentropy._backends import Array


def class_vectors(logits: Array, classes: int, *, ready: bool, **values: Any) -> list[Array | None]:
    """Each of `values` that is not None as a `class_vector`.

    Those that are `ready` are arrays beside the logits: if they are floats of the right shape, nothing is left to do.
    """
    found = []
    for name, x in values.items():
        fits = x is None or (ready and getattr(x, "shape", None) == (classes,) and x.is_floating_point())
        found.append(x if fits else class_vector(x, logits, classes, name))
    return found


def class_vector(values: Any, logits: Array, classes: int, name: str) -> Array | None:
    """`values` as one number for each class, shape (C,); a ValueError if their shape is another."""
    if values is None:
        return None
    x = like(values, logits, name)
    if tuple(x.shape) != (classes,):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; pass one number for each of the {classes} classes, shape ({classes},)"
            + (along_another_axis(x, logits) if classes in logits.shape else "")
        )
    return x


def along_another_axis(x: Array, logits: Array) -> str:
    """What to add of a class vector whose length is that of another axis of the logits: PyTorch's, the second."""
    if logits.ndim < 3 or tuple(x.shape) != (logits.shape[1],):
        return ""
    return f". If the classes of logits of shape {tuple(logits.shape)} are along axis 1, pass axis=1"


def row_values(
    values: Any, logits: Array, rows: tuple[int, ...], name: str, *, ready: bool = False
) -> Array | None:
    """`values` as one number for each row, or a ValueError; `ready` as in `class_vectors`."""
    if values is None:
        return None
    if ready and getattr(values, "shape", None) == rows and values.is_floating_point():
        return values
    x = like(values, logits, name)
    if tuple(x.shape) != rows:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; pass one number for each row, shape {rows}")
    return x


def like(values: Any, logits: Array, name: str) -> Array:
    """`values` as a floating array of the logits' library, on their device; its own dtype if it has one."""
    return as_floating(as_option(values, name, logits))
