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

    `name` is the score, for the warning; a loss has none and gives none. `mass` is what each row stands for in the
    mean, `weight` its weight, 1 if left out, and `keep` is false where a row is ignored. If `checked`, negative weights
    that are to be divided by are refused.
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
        return reduce_rows(losses, mass, keep, reduction=reduction, normalizer=normalizer, empty=empty)[0]
    if checked and mass is not None and divides_by_weight(reduction, normalizer):
        check_weights(mass)
    N = divisor(losses, mass, keep, normalizer)
    if name is not None and empty == "nan" and is_true(xp.any(N == 0)):
        warn_user(
            f"{name} has nothing to average: no rows, every row ignored, or all weights 0. It is NaN; pass "
            'empty="zero" for 0 or empty="raise" for an error'
        )
    return mean_of(losses, N, empty)
