"""What losses share that are made of rows of their own: these are weighted, reduced and given in the dtype due."""

from typing import Any

from crossentropy._backends import loss_dtype, namespace
from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import check_reduction, negative_weight_error, reduce_rows
from crossentropy._engine.softmax.terms import weigh
from crossentropy._engine.weights import row_values

__all__ = ["in_loss_dtype", "reduced"]

Array = Any


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
    """Losses of rows times their weights, reduced as `crossentropy.softmax_cross_entropy` does it.

    Parameters
    ----------
    losses : array, shape of the rows
    like : array
        What the losses are of: it decides their dtype.
    sample_weight, reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.
    keep : array of bool, shape of the rows, optional
        False where a row is ignored.
    """
    check_reduction(reduction, normalizer, empty)
    xp = namespace(losses)
    masses = row_values(sample_weight, like, tuple(losses.shape), "sample_weight")
    masses = xp.ones_like(losses) if masses is None else xp.astype(masses, losses.dtype, copy=False)
    if keep is not None:
        masses = xp.where(keep, masses, xp.zeros_like(masses))
    by_weight = reduction == "mean" and isinstance(normalizer, str) and normalizer == "weight"
    if by_weight and sample_weight is not None and is_true(xp.any(masses < 0)):
        raise negative_weight_error(float(xp.min(masses)))
    value = reduce_rows(
        weigh(masses, losses),
        masses,
        xp.ones_like(losses, dtype=xp.bool) if keep is None else keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
    return in_loss_dtype(value, like)
