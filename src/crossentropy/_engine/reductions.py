"""From a loss for every row to one number, with the denominator said aloud."""

from typing import Any

from crossentropy._arguments.arrays import as_option
from crossentropy._arguments.errors import as_written
from crossentropy._backends import device, is_number, is_torch, namespace
from crossentropy._backends.conditions import is_true

__all__ = ["check_reduction", "reduce_rows"]

Array = Any

REDUCTIONS = ("mean", "sum", "none")
NORMALIZERS = ("weight", "count")
EMPTY = ("zero", "nan", "raise")

EMPTY_MESSAGE = (
    "there is nothing to average: no rows, every row ignored, or all weights 0; "
    'pass empty="zero" for a loss of 0 or empty="nan" for NaN'
)


def check_reduction(reduction: str, normalizer: Any, empty: str) -> None:
    """Refuse a reduction, normalizer or empty rule that is not one of the known ones.

    Raises
    ------
    ValueError
        If a word is unknown, or if a normalizer is given to ``"sum"`` or ``"none"``, which have none.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction is {reduction!r}; write one of "mean", "sum", "none"')
    if empty not in EMPTY:
        raise ValueError(f'empty is {empty!r}; write one of "zero", "nan", "raise"')
    if isinstance(normalizer, str) and normalizer not in NORMALIZERS:
        raise ValueError(f'normalizer is {normalizer!r}; write "weight", "count", a number or an array')
    known = isinstance(normalizer, (str, list, tuple)) or hasattr(normalizer, "shape")
    if not (known or is_number(normalizer)):
        raise TypeError(
            f'normalizer is {as_written(normalizer)}; write "weight", "count", a number or an array'
        )
    if reduction != "mean" and not (isinstance(normalizer, str) and normalizer == "weight"):
        raise ValueError(
            f'normalizer is {normalizer!r} but reduction is "{reduction}", which divides by nothing; '
            'write reduction="mean", or leave the normalizer out'
        )


def negative_weight_error(least: float) -> ValueError:
    """What to say when a mean would be divided by weights of both signs."""
    return ValueError(
        f"the rows' weights, sample_weight and class_weight multiplied, go down to {least}, and "
        'normalizer="weight" divides by their sum; '
        'pass normalizer="count" to divide by the number of rows, or a normalizer of your own'
    )


def reduce_rows(
    losses: Array, weights: Array, counted: Array, *, reduction: str, normalizer: Any, empty: str
) -> Array:
    """``Σ ℓ``, ``Σ ℓ / N`` or the rows themselves.

    Parameters
    ----------
    losses : array, any shape
        Loss of each row, its weights included.
    weights : array, shape of `losses`
        The mass ``W`` each row stands for: its weight before smoothing, 0 where ignored.
    counted : array of bool, shape of `losses`, or number
        The rows that are not ignored, or how many there are, by `number_of`.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`, already checked by `check_reduction`.

    Raises
    ------
    ValueError
        If ``empty="raise"`` and there is nothing to average.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return namespace(losses).sum(losses)
    return mean_of(losses, divisor(losses, weights, counted, normalizer), empty)


def divisor(losses: Array, weights: Array, counted: Array, normalizer: Any) -> Array:
    """``N`` of a mean, one number or one for every row; the arguments are those of `reduce_rows`."""
    xp = namespace(losses)
    if isinstance(normalizer, str):
        if normalizer == "weight":
            return xp.sum(weights)
        if is_number(counted):
            return _as_array(counted, losses)
        return xp.sum(xp.astype(counted, losses.dtype))
    N = _as_array(normalizer, losses)
    if N.ndim and N.shape != losses.shape:
        raise ValueError(
            f"normalizer has shape {tuple(N.shape)} but the losses have shape {tuple(losses.shape)}; "
            "pass a number, or one divisor for every row"
        )
    return N


def mean_of(losses: Array, N: Array, empty: str) -> Array:
    """``Σ ℓ / N``, where nothing to divide by gives what `empty` says, with a gradient of 0."""
    xp = namespace(losses)
    return xp.sum(_divide(losses, N, empty)) if N.ndim else _divide(xp.sum(losses), N, empty)


def of_nothing(empty: str) -> float:
    """The mean where there is nothing to average, by what `empty` says of it."""
    if empty == "raise":
        raise ValueError(EMPTY_MESSAGE)
    return float("nan") if empty == "nan" else 0.0


def _as_array(value: Any, like: Array) -> Array:
    xp = namespace(like)
    if is_number(value):  # filled in on the device, with nothing to be copied there
        return xp.full((), value, dtype=like.dtype, device=device(like))
    x = as_option(value, "normalizer", like)
    return x.to(like.dtype) if is_torch(like) else xp.astype(x, like.dtype, copy=False)


def _divide(total: Array, N: Array, empty: str) -> Array:
    xp = namespace(total)
    nothing = N == 0
    if empty == "raise" and is_true(xp.any(nothing), wait=True):
        raise ValueError(EMPTY_MESSAGE)
    mean = xp.where(nothing, xp.zeros_like(total), total) / xp.where(nothing, xp.ones_like(N), N)
    # in a traced function, which cannot raise, NaN says it
    return mean if empty == "zero" else xp.where(nothing, xp.full_like(mean, float("nan")), mean)
