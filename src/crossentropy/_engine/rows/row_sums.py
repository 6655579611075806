"""Losses whose rows are sums of a call's elements: questions of a row, tasks, pairs, samples."""

from collections.abc import Callable
from typing import Any

from crossentropy._backends import namespace, number_of, total
from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import check_reduction, negative_weight_error

__all__ = ["divisor", "reduced_sums"]

Array = Any


def divisor(normalizer: Any, weights: Array | None, shape: tuple[int, ...], like: Array) -> Any:
    """What a mean divides by where the call that computes it has weights or elements of another kind.

    Parameters
    ----------
    normalizer : {"weight", "count"}, number or array
    weights : array or None
        The weights that count; None stands for 1 each.
    shape : tuple of int
        Of what is counted.
    like : array
        What the loss is of.

    Raises
    ------
    ValueError
        If weights that are negative are to be divided by.
    """
    if not isinstance(normalizer, str):
        return normalizer
    if normalizer == "count" or weights is None:
        return number_of(shape, like)
    xp = namespace(weights)
    if is_true(xp.any(weights < 0)):
        raise negative_weight_error(float(xp.min(weights)))
    return total(weights, tuple(range(weights.ndim)))


def reduced_sums(
    call: Callable[..., Array],
    shape: tuple[int, ...],
    axis: int,
    *,
    like: Array,
    weights: Array | None,
    reduction: str,
    normalizer: Any,
    empty: str,
) -> Array:
    """Rows that are the sums of a call's elements over one axis, reduced over the rows.

    A mean or a sum is the call's own value, untouched.

    Parameters
    ----------
    call : function
        ``call(reduction=..., normalizer=..., empty=...)``: a loss of elements, the rows' weights included.
    shape : tuple of int
        Of the elements.
    axis : int
        The one that is summed over, counted from 0.
    like : array
        What the loss is of.
    weights : array or None
        Weights of the rows.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`, for the rows.
    """
    check_reduction(reduction, normalizer, empty)
    if reduction == "none":
        losses = call(reduction="none")
        return namespace(losses).astype(total(losses, axis), losses.dtype)
    if reduction == "sum":
        return call(reduction="sum")
    rows = shape[:axis] + shape[axis + 1 :]
    N = divisor(normalizer, weights, rows, like)
    if getattr(N, "ndim", 0):
        xp = namespace(N)
        if tuple(N.shape) != rows:
            raise ValueError(
                f"normalizer has shape {tuple(N.shape)}; pass a number, or one for each row, shape {rows}"
            )
        N = xp.broadcast_to(xp.expand_dims(N, axis=axis), shape)
    return call(normalizer=N, empty=empty)
