"""Weights of classes and of rows, checked and as arrays of the logits' library."""

from typing import Any

from crossentropy.backends import as_arrays, is_numpy, is_torch, namespace, widest_dtype

__all__ = ["class_vector", "row_values"]

Array = Any


def class_vector(values: Any, logits: Array, classes: int, name: str) -> Array | None:
    """`values` as one number for each class, shape (C,).

    Raises
    ------
    ValueError
        If its shape is another.
    """
    if values is None:
        return None
    x = like(values, logits)
    if tuple(x.shape) != (classes,):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}; pass one number for each of the {classes} classes, shape ({classes},)"
        )
    return x


def row_values(values: Any, logits: Array, rows: tuple[int, ...], name: str) -> Array | None:
    """`values` as one number for each row.

    Raises
    ------
    ValueError
        If its shape is not that of the rows.
    """
    if values is None:
        return None
    x = like(values, logits)
    if tuple(x.shape) != rows:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; pass one number for each row, shape {rows}")
    return x


def like(values: Any, logits: Array) -> Array:
    """`values` as a floating array of the logits' library, on their device; its own dtype if it has one."""
    if is_torch(logits):
        import torch

        place = logits.device
        given = isinstance(values, torch.Tensor)
        x = values.to(place) if given else torch.as_tensor(values, dtype=torch.float64, device=place)
        return x if x.is_floating_point() else x.to(widest_dtype(x))
    xp, x = namespace(logits), values
    if not (is_numpy(values) and is_numpy(logits)):
        x = as_arrays(values, logits)[1][0]
    return x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, widest_dtype(x))
