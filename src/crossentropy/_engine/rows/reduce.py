"""Losses with rows of their own: weighed, reduced, and in the dtype of the loss."""

from collections.abc import Callable
from typing import Any

from crossentropy._backends import Array, device, loss_dtype, namespace, total
from crossentropy._engine.reductions import check_reduction, divided_by_zero, normalizer_of, reduce_rows
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import not_ignored_rows, weigh
from crossentropy._engine.weights import row_values
from crossentropy._rows import rows_shape


def in_loss_dtype(value: Array, like: Array) -> Array:
    """`value` in the dtype that is due to losses of `like`."""
    return namespace(value).astype(value, loss_dtype(like), copy=False)


def reduced(
    losses: Array,
    like: Array,
    *,
    sample_weight: Array | None,
    reduction: str,
    normalizer: Any,
    empty: str,
    keep: Array | None = None,
) -> Array:
    """Multiply losses of rows by their weights and reduce them as `crossentropy.softmax_cross_entropy` does.

    `like` is what the losses are of, and decides their dtype; rows where `keep` is false are ignored.
    """
    check_reduction(reduction, normalizer, empty)
    xp = namespace(losses)
    weights = row_values(sample_weight, like, tuple(losses.shape), "sample_weight")
    weights = None if weights is None else xp.astype(weights, losses.dtype, copy=False)
    if keep is not None:
        weights = xp.ones_like(losses) if weights is None else weights
        weights = xp.where(keep, weights, xp.zeros_like(weights))
    if weights is not None:
        shape = tuple(losses.shape)
        losses = weigh(weights, losses, divided_by_zero(normalizer, shape, xp, device(losses)))
    value, _ = reduce_rows(
        losses,
        weights,
        keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
    return in_loss_dtype(value, like)


def reduce_problem(problem: SoftmaxProblem, losses: Array, weights: Array | None) -> Array:
    """Multiply losses of a problem's rows by `weights` and reduce them by the problem's options."""
    return reduced(
        losses,
        problem.logits,
        sample_weight=weights,
        reduction=problem.reduction,
        normalizer=problem.normalizer,
        empty=problem.empty,
        keep=not_ignored_rows(problem),
    )


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
    """Reduce rows whose losses are sums over one axis of a call's elements: questions, tasks or pairs.

    ``call(reduction=..., normalizer=..., empty=...)`` is a loss of elements of this shape, the rows' `weights`
    included, and `axis` the one that is summed over. A mean or a sum is the call's own value, untouched.
    """
    check_reduction(reduction, normalizer, empty)
    if reduction == "none":
        losses = call(reduction="none")
        return namespace(losses).astype(total(losses, axis), losses.dtype)
    if reduction == "sum":
        return call(reduction="sum")
    rows = rows_shape(shape, axis)
    N = normalizer_of(normalizer, weights, rows, like)
    if getattr(N, "ndim", 0):
        xp = namespace(N)
        if tuple(N.shape) != rows:
            raise ValueError(
                f"normalizer has shape {tuple(N.shape)}; pass a number, or one for each row, shape {rows}"
            )
        N = xp.broadcast_to(xp.expand_dims(N, axis=axis), shape)
    return call(normalizer=N, empty=empty)
