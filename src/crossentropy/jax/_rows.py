"""Class axes and masks as optax has them, brought to one class axis and weights of rows."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import jax.numpy as jnp

from crossentropy._backends import Array
from crossentropy._rows import rows_shape

__all__ = ["Axes", "check_broadcast", "check_floating", "class_axes", "masked_rows"]

Axes = int | Sequence[int] | None


def check_floating(**arrays: Any) -> list[Array]:
    """Convert arguments to JAX arrays; raise TypeError unless they are floating."""
    converted = {name: jnp.asarray(x) for name, x in arrays.items()}
    for name, x in converted.items():
        if not jnp.issubdtype(x.dtype, jnp.floating):
            hint = (
                "; softmax_cross_entropy_with_integer_labels takes class indices" if name == "labels" else ""
            )
            raise TypeError(f"{name} have dtype {x.dtype}; pass a floating array{hint}")
    return list(converted.values())


def check_broadcast(like: str, shape: tuple[int, ...], **settings: Any) -> None:
    """Raise ValueError unless settings that may be arrays broadcast to a shape, that of the argument called `like`."""
    for name, value in settings.items():
        given = tuple(getattr(value, "shape", ()))
        sizes = zip(reversed(given), reversed(shape), strict=False)
        if len(given) > len(shape) or any(n not in (1, m) for n, m in sizes):
            raise ValueError(
                f"{name} has shape {given} but {like} have shape {shape}; pass one number, or an array that "
                f"broadcasts to the {like}"
            )


def class_axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    """The class axes counted from the front; None stands for all."""
    given: Any = range(ndim) if axis is None else axis
    axes: tuple[Any, ...] = (given,) if isinstance(given, Integral) else tuple(given)
    for a in axes:
        if not isinstance(a, Integral):
            raise TypeError(f"axis is {axis!r}; pass an integer, or a tuple of them")
        if not -ndim <= int(a) < ndim:
            raise ValueError(f"axis is {axis!r}, but the array has {ndim} axes")
    axes = tuple(int(a) % ndim for a in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis is {axis!r}, which names an axis twice")
    return axes


def one_class_axis(x: Array, axis: Axes) -> tuple[Array, int]:
    """Make several class axes one, the last, in the order of `axis`; returns its place as well."""
    axes = class_axes(axis, x.ndim)
    if len(axes) == 1:
        return x, axes[0]
    rows = tuple(a for a in range(x.ndim) if a not in axes)
    x = jnp.transpose(x, (*rows, *axes))
    return jnp.reshape(x, (*x.shape[: len(rows)], -1)), len(rows)


def masked_rows(
    logits: Array, labels: Array | None, axis: Axes, where: Any, sample_weight: Any, label_smoothing: Any
) -> tuple[Array, Array | None, int, Any]:
    """The logits with one class axis and without the classes that `where` leaves out, soft labels too, and weights.

    A mask in the shape of the rows leaves out rows, whose weight is 0. One with the logits' axes leaves out classes,
    and the rows in which none is left.
    """
    z, place = one_class_axis(logits, axis)
    t = None if labels is None else one_class_axis(labels, axis)[0]
    if where is None:
        return z, t, place, sample_weight
    mask = jnp.asarray(where) != 0
    rows = rows_shape(z.shape, place)
    if mask.ndim != logits.ndim:
        if mask.shape != rows:
            raise ValueError(
                f"where has shape {mask.shape}; pass a mask in the shape of the rows, {rows}, or of the logits, "
                f"{logits.shape}"
            )
        kept = mask
    else:
        if label_smoothing != 0:
            raise ValueError(
                "label_smoothing is given with a mask of classes, over which it spreads its share evenly; pass "
                "softmax_cross_entropy(logits, smooth_labels(one_hot, alpha, where=where), where=where)"
            )
        try:
            mask = jnp.broadcast_to(mask, logits.shape)
        except ValueError:
            raise ValueError(
                f"where has shape {mask.shape}, which does not broadcast to the logits' {logits.shape}"
            ) from None
        mask, _ = one_class_axis(mask, axis)
        z = jnp.where(mask, z, -jnp.inf)
        t = None if t is None else jnp.where(mask, t, 0)
        kept = jnp.any(mask, axis=place)
    return z, t, place, jnp.where(kept, 1.0 if sample_weight is None else jnp.asarray(sample_weight), 0.0)
