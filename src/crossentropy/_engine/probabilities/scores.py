"""Means of scores: that of nothing is no score."""

from typing import Any

from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import namespace
from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import divisor, mean_of, negative_weight_error, reduce_rows
from crossentropy._engine.softmax.terms import weigh

__all__ = ["reduce_scores"]

Array = Any


def reduce_scores(
    name: str,
    losses: Array,
    mass: Array | None,
    weight: Array | None,
    *,
    keep: Array | None = None,
    reduction: str,
    normalizer: Any,
    empty: str,
    checked: bool,
) -> Array:
    """Weigh losses and reduce them, and warn where a mean is NaN because there is nothing to average.

    Parameters
    ----------
    name : str
        The score, for the warning.
    losses : array, any shape
        Loss of each row, class weights included.
    mass : array, shape of `losses`, optional
        What each row stands for in the mean; 1 if left out.
    weight : array, shape of `losses`, optional
        Weight of each row, 0 where ignored; 1 if left out.
    keep : array of bool, shape of `losses`, optional
        False where a row is ignored.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`, checked.
    checked : bool
        Whether negative weights are refused that are to be divided by.
    """
    if weight is not None:
        losses = weigh(weight, losses)
        mass = weight if mass is None else weigh(weight, mass)
    if mass is None:
        mass, normalizer = losses, "count" if isinstance(normalizer, str) else normalizer
    xp = namespace(losses)
    by_weight = reduction == "mean" and isinstance(normalizer, str) and normalizer == "weight"
    if by_weight and checked and is_true(xp.any(mass < 0)):
        raise negative_weight_error(float(xp.min(mass)))
    counted = xp.ones_like(losses, dtype=xp.bool) if keep is None else keep
    if reduction != "mean":
        return reduce_rows(losses, mass, counted, reduction=reduction, normalizer=normalizer, empty=empty)
    N = divisor(losses, mass, counted, normalizer)
    if empty == "nan" and is_true(xp.any(N == 0)):
        warn_user(
            f"{name} has nothing to average: no rows, every row ignored, or all weights 0. It is NaN; pass "
            'empty="zero" for 0 or empty="raise" for an error'
        )
    return mean_of(losses, N, empty)
