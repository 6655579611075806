"""Means of scores: that of nothing is no score."""

from typing import Any

from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import Array, namespace
from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import check_weights, divides_by_weight, divisor, mean_of, reduce_rows
from crossentropy._engine.softmax.terms import weigh


def reduce_scores(
    name: str | None,
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
    name : str or None
        The score, for the warning; None for a loss, which gives none.
    losses : array, any shape
        Loss of each row, class weights included.
    mass : array, shape of `losses`, optional
        What each row stands for in the mean; 1 if left out.
    weight : array, shape of `losses`, optional
        Weight of each row; 1 if left out.
    keep : array of bool, shape of `losses`, optional
        False where a row is ignored.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`, checked.
    checked : bool
        Whether negative weights are refused that are to be divided by.
    """
    xp = namespace(losses)
    if weight is not None:
        weight = xp.astype(weight, losses.dtype, copy=False)
    if keep is not None:
        zero = xp.zeros_like(losses)
        losses = xp.where(keep, losses, zero)
        if weight is not None:
            weight = xp.where(keep, weight, zero)
        else:
            mass = xp.astype(keep, losses.dtype) if mass is None else xp.where(keep, mass, zero)
    if weight is not None:
        losses = weigh(weight, losses)
        mass = weight if mass is None else weigh(weight, mass)
    if reduction != "mean":
        return reduce_rows(losses, mass, keep, reduction=reduction, normalizer=normalizer, empty=empty)
    if checked and mass is not None and divides_by_weight(reduction, normalizer):
        check_weights(mass)
    N = divisor(losses, mass, keep, normalizer)
    if name is not None and empty == "nan" and is_true(xp.any(N == 0)):
        warn_user(
            f"{name} has nothing to average: no rows, every row ignored, or all weights 0. It is NaN; pass "
            'empty="zero" for 0 or empty="raise" for an error'
        )
    return mean_of(losses, N, empty)
