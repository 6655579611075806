"""From a loss for every row to one number: what a mean divides by, the division, and the mean of nothing.

This is the only place that knows what a normalizer stands for, that divides, and that refuses negative weights. Kernels
give totals (`fixed_divisor`, `mean_of_totals`); formulas give rows (`reduce_rows`); a loss that is another loss's call
gives that its own denominator (`normalizer_of`).
"""

from collections.abc import Callable
from typing import Any

from crossentropy._arguments.arrays import as_option
from crossentropy._arguments.errors import as_written
from crossentropy._backends import (
    INF,
    Array,
    device,
    is_number,
    is_torch,
    namespace,
    number_of,
    total,
    widest_dtype,
)
from crossentropy._backends.conditions import is_true, is_zero

REDUCTIONS = ("mean", "sum", "none")
NORMALIZERS = ("weight", "count")
EMPTY = ("zero", "nan", "raise")

EMPTY_MESSAGE = (
    "there is nothing to average: no rows, every row ignored, or all weights 0; "
    'pass empty="zero" for a loss of 0 or empty="nan" for NaN'
)


def check_reduction(reduction: str, normalizer: Any, empty: str) -> None:
    """Refuse a reduction, normalizer or empty rule that is not a known one, and a normalizer of what is no mean."""
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction is {reduction!r}; write one of "mean", "sum", "none"')
    if empty not in EMPTY:
        raise ValueError(f'empty is {empty!r}; write one of "zero", "nan", "raise"')
    if isinstance(normalizer, str):
        if normalizer not in NORMALIZERS:
            raise ValueError(f'normalizer is {normalizer!r}; write "weight", "count", a number or an array')
    elif not (isinstance(normalizer, (list, tuple)) or hasattr(normalizer, "shape") or is_number(normalizer)):
        raise TypeError(
            f'normalizer is {as_written(normalizer)}; write "weight", "count", a number or an array'
        )
    if reduction != "mean" and not (isinstance(normalizer, str) and normalizer == "weight"):
        raise ValueError(
            f'normalizer is {normalizer!r} but reduction is "{reduction}", which divides by nothing; '
            'write reduction="mean", or leave the normalizer out'
        )


def divides_by_weight(reduction: str, normalizer: Any) -> bool:
    """Tell whether the result is a mean that divides by the sum of weights."""
    return reduction == "mean" and isinstance(normalizer, str) and normalizer == "weight"


def check_weights(weights: Array, error: Callable[[float], ValueError] | None = None) -> None:
    """Raise if weights whose sum divides a mean are known to go below 0; `error` makes the error of the least."""
    xp = namespace(weights)
    if is_true(xp.any(weights < 0)):
        raise (error or negative_weight_error)(float(xp.min(weights)))


def check_least_weight(least: float) -> None:
    """Raise if the least of the weights whose sum divides a mean is negative."""
    if least < 0:
        raise negative_weight_error(least)


def negative_weight_error(least: float) -> ValueError:
    """The error of a mean that would be divided by weights of both signs."""
    return ValueError(
        f"the rows' weights, sample_weight and class_weight multiplied, go down to {least}, and "
        'normalizer="weight" divides by their sum; '
        'pass normalizer="count" to divide by the number of rows, or a normalizer of your own'
    )


# ---------------------------------------------------------------------------------------------------- from rows


def _sum(x: Array) -> Array:
    return total(x, tuple(range(x.ndim)))


def reduce_rows(
    losses: Array,
    weights: Array | None,
    counted: Array | float | None,
    *,
    reduction: str,
    normalizer: Any,
    empty: str,
    signed: bool = False,
    add_up: Callable[[Array], Array] = _sum,
) -> tuple[Array, Array | float | None]:
    """Reduce losses of rows: to ``Σ ℓ``, to ``Σ ℓ / N`` or not at all; sums are in float64 where the library has it.

    Returns the value, and the divisor ``N`` of a mean, else None. The options are checked already.

    Parameters
    ----------
    losses : array, any shape
        Loss of each row, its weights included.
    weights : array, shape of `losses`, or None
        The mass ``W`` each row stands for: its weight before smoothing, 0 where ignored. None stands for 1 each.
    counted : array of bool, shape of `losses`, number or None
        The rows that are not ignored, or how many there are; None stands for all.
    signed : bool
        Whether weights of both signs may be divided by, as PyTorch does; otherwise a negative one raises.
    add_up : callable
        Computes the sum of all entries of an array. If it is a float, so are the value and the divisor of a mean.
    """
    if reduction == "none":
        return losses, None
    N, each = None, None
    if weights is None and counted is None and isinstance(normalizer, str):
        each = number_of(losses.shape, losses)
    if reduction == "sum":
        value = add_up(losses)
    elif isinstance(each, float) and each:  # a number of rows that is known needs no look at the device
        value, N = add_up(losses) / each, each
    else:
        N = divisor(losses, weights, counted, normalizer, signed=signed, add_up=add_up)
        value = mean_of(losses, N, empty, add_up)
    if type(value) is float:  # and not NumPy's, which is an array
        return value, N
    return namespace(value).astype(value, losses.dtype, copy=False), N


def divisor(
    losses: Array,
    weights: Array | None,
    counted: Array | float | None,
    normalizer: Any,
    *,
    signed: bool = True,
    add_up: Callable[[Array], Array] = _sum,
) -> Array:
    """Compute the divisor ``N`` of a mean, shape () or one for every row; the arguments are those of `reduce_rows`."""
    if isinstance(normalizer, str):
        if normalizer == "weight" and weights is not None:
            if not signed:
                check_weights(weights)
            return add_up(weights)
        if counted is not None and not is_number(counted):
            return _sum(namespace(counted).astype(counted, widest_dtype(losses)))
        normalizer = number_of(losses.shape, losses) if counted is None else counted
    N = _as_array(normalizer, losses)
    if N.ndim and N.shape != losses.shape:
        raise ValueError(
            f"normalizer has shape {tuple(N.shape)} but the losses have shape {tuple(losses.shape)}; "
            "pass a number, or one divisor for every row"
        )
    return N


def divided_by_zero(normalizer: Any, shape: tuple[int, ...], xp: Any, device: Any) -> Array | None:
    """Which of the losses of this shape are divided by 0, and so have no gradient; None stands for none."""
    if is_zero(normalizer):
        return xp.ones(shape, dtype=xp.bool, device=device)
    if isinstance(normalizer, (str, int, float)) or tuple(getattr(normalizer, "shape", (-1,))) not in (
        (),
        shape,
    ):
        return None
    return xp.broadcast_to(normalizer == 0, shape)


def inverse(N: Any) -> Any:
    """Compute ``1 / N``, and 0 where there is nothing to divide by."""
    if type(N) is float:
        return 1.0 / N if N else 0.0
    xp = namespace(N)
    nothing = N == 0
    return xp.where(nothing, xp.zeros_like(N), 1 / xp.where(nothing, xp.ones_like(N), N))


def mean_of(losses: Array, N: Array, empty: str, add_up: Callable[[Array], Array] = _sum) -> Array:
    """Compute ``Σ ℓ / N``; a divisor of 0 gives the value of `empty`, with a gradient of 0."""
    if not isinstance(N, float) and N.ndim:
        return add_up(divide(losses, N, empty))
    total = add_up(losses)
    return mean_of_totals(total, float(N), empty)[0] if type(total) is float else divide(total, N, empty)


def divide(total: Array, N: Array, empty: str) -> Array:
    """Compute ``total / N`` for every entry; a divisor of 0 gives the value of `empty`, with a gradient of 0."""
    xp = namespace(total, N)
    check_divisor(N, empty)
    nothing = N == 0
    mean = xp.where(nothing, xp.zeros_like(total), total) / xp.where(nothing, xp.ones_like(N), N)
    # a traced function cannot raise, so empty="raise" gives NaN there
    return xp.where(nothing, xp.full_like(mean, value_of_nothing(empty)), mean)


def check_divisor(N: Array, empty: str) -> None:
    """Raise if `empty` is "raise" and a divisor is 0; only then this waits for the device."""
    if empty == "raise" and is_true(namespace(N).any(N == 0), wait=True):
        raise ValueError(EMPTY_MESSAGE)


# -------------------------------------------------------------------------------------------------- from totals


def fixed_divisor(reduction: str, normalizer: Any, count: Any, *, weighted: bool) -> Any:
    """Return the divisor ``N`` of a mean if it is known before weights are summed; None if it is their sum.

    `count` rows are not ignored; if they are not `weighted`, each weighs 1. An array of divisors is given back.
    """
    if reduction != "mean":
        return 1.0
    if not isinstance(normalizer, str):
        return normalizer
    return None if normalizer == "weight" and weighted else count


def mean_of_totals(total: float, N: float, empty: str) -> tuple[float, float]:
    """Compute ``total / N`` of two numbers, and the divisor of its gradient: infinity if `N` is 0."""
    return (total / N, N) if N else (of_nothing(empty), INF)


def of_nothing(empty: str) -> float:
    """Return the mean of no rows, or raise if `empty` is "raise"."""
    if empty == "raise":
        raise ValueError(EMPTY_MESSAGE)
    return value_of_nothing(empty)


def value_of_nothing(empty: str) -> float:
    """Return the mean of no rows where nothing can be raised, since the number of rows is not known yet."""
    return 0.0 if empty == "zero" else float("nan")


# ---------------------------------------------------------------------------------- for losses that call another


def count_by_default(normalizer: Any, reduction: str, default: Any = None) -> Any:
    """Replace a normalizer left at its default: "count" for a mean; a sum takes none, which is written "weight"."""
    if normalizer is default or (isinstance(normalizer, str) and normalizer == default):
        return "count" if reduction == "mean" else "weight"
    return normalizer


def normalizer_of(normalizer: Any, weights: Array | None, shape: tuple[int, ...], like: Array) -> Any:
    """Return the normalizer to pass to another loss that computes a mean with other weights or other elements.

    The weights that count are those of rows of this shape, None for 1 each; `like` are logits.
    """
    if not isinstance(normalizer, str):
        return normalizer
    if normalizer == "count" or weights is None:
        return number_of(shape, like)
    check_weights(weights)
    return _sum(weights)


def sequence_divisors(weights: Array) -> Array:
    """Compute a divisor for every token, so that a sum of quotients is the mean over sequences of their tokens' means.

    Tokens are along the last axis. A sequence whose weights sum to 0 is not counted; its tokens are divided by 1.
    """
    xp = namespace(weights)
    lengths = xp.sum(weights, axis=-1, keepdims=True)
    sequences = xp.sum(xp.astype(lengths != 0, lengths.dtype))
    N = xp.where((lengths == 0) & (sequences > 0), xp.ones_like(lengths), lengths * sequences)
    return N + xp.zeros_like(weights)


def _as_array(value: Any, like: Array) -> Array:
    xp = namespace(like)
    dtype = widest_dtype(like)
    if is_number(value):  # filled in on the device, with nothing to be copied there
        return xp.full((), value, dtype=dtype, device=device(like))
    x = as_option(value, "normalizer", like)
    return x.to(dtype) if is_torch(like) else xp.astype(x, dtype, copy=False)
