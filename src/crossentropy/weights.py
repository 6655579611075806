"""Weights of classes and of rows, checked and as arrays of the logits' library."""

from typing import Any

from crossentropy.backends import is_torch, namespace

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

        x = values if isinstance(values, torch.Tensor) else torch.as_tensor(values, dtype=torch.float64)
        x = x.to(logits.device)
        return (
            x if x.is_floating_point() else x.to(torch.float32 if x.device.type == "mps" else torch.float64)
        )
    xp = namespace(logits)
    x = values if hasattr(values, "dtype") else xp.asarray(values, device=logits.device)
    if not xp.isdtype(x.dtype, "real floating"):
        has_float64 = "float64" in xp.__array_namespace_info__().dtypes(kind="real floating")
        x = xp.astype(x, xp.float64 if has_float64 else xp.float32)
    return x
