"""Checks of arrays of probability distributions, with errors that name the entry or the row."""

import math
import numbers
from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_floating
from crossentropy._arguments.foreign import is_bfloat16
from crossentropy._arguments.unit_sums import rounding_tolerance
from crossentropy._backends import Array, namespace, total
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._backends.dtypes import sum_tolerance


def check_shapes(
    axis: int | tuple[int, ...], **arguments: Any
) -> tuple[Any, dict[str, Array], tuple[int, ...]]:
    """Check the shapes of distributions passed by name; return their namespace, themselves, and negative axes.

    Raises
    ------
    ValueError
        If an axis is out of range, or shapes do not fit.
    TypeError
        As `as_arrays`.
    """
    xp, arrays = as_arrays(**arguments)
    named = {name: as_floating(x) for name, x in zip(arguments, arrays, strict=True)}
    axes = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(axis_from_end(k, "axis", axis, named) for k in axes)
    if len(set(axes)) < max(len(axes), 1):
        raise ValueError(f"axis is {axis!r}; pass the axes of the classes, each once")
    if any(x.shape != arrays[0].shape for x in arrays[1:]):
        _check_broadcast(named, axes)
    return xp, named, axes


def _check_broadcast(named: dict[str, Array], axes: tuple[int, ...]) -> None:
    """Raise unless distributions have the same classes, and their other axes broadcast."""
    arrays = list(named.values())
    for k in axes:
        classes = [x.shape[k] if x.ndim >= -k else None for x in arrays]
        if any(n is None or n != classes[0] for n in classes):
            raise ValueError(
                f"{_shapes(named)}: along axis {k} the numbers of classes differ; "
                "pass distributions over the same classes (only the other axes broadcast)"
            )
    for sizes in zip(*(reversed(x.shape) for x in arrays), strict=False):
        several = [n for n in sizes if n != 1]
        if any(n != several[0] for n in several):
            raise ValueError(
                f"{_shapes(named)}, which do not broadcast; make the other axes equal, or of size 1"
            )


def check_values(named: dict[str, Array], axes: tuple[int, ...], normalize: bool) -> list[Array]:
    """Check the entries of distributions and their sums; return them in one dtype, float32 or wider.

    Raises
    ------
    ValueError
        If an entry is no probability, or a sum is not one.
    """
    arrays = [checked_distribution(name, x, axes, normalize) for name, x in named.items()]
    xp = namespace(*arrays)
    return [xp.astype(x, xp.result_type(*arrays), copy=False) for x in arrays]


def _shapes(named: dict[str, Array]) -> str:
    """Write the shapes of arrays for an error."""
    return " and ".join(f"{name} has shape {tuple(x.shape)}" for name, x in named.items())


def axis_from_end(k: int, name: str, axis: Any, named: dict[str, Array]) -> int:
    """Turn an axis into a negative number, which broadcasting leaves alone.

    `axis` is the argument called `name` that it came from, for the error.
    """
    ndim = max(x.ndim for x in named.values())
    if not isinstance(k, (int, numbers.Integral)) or not -ndim <= k < ndim:
        raise ValueError(f"{name} is {axis!r} but {_shapes(named)}; pass the number of one of the axes")
    return int(k) - ndim if k >= 0 else int(k)


def checked_distribution(name: str, x: Array, axes: tuple[int, ...], normalize: bool) -> Array:
    """Check that `x` holds distributions over the negative `axes`, and return it in float32 or wider."""
    xp = namespace(x)
    x = as_floating(x)
    tolerance = sum_tolerance(x)
    is_half = is_bfloat16(x.dtype) or int(xp.finfo(x.dtype).bits) < 32
    original, x = x, xp.astype(x, xp.float32) if is_half else x

    wrong = ~((x >= 0) & (x < math.inf))
    if is_true(xp.any(wrong)):
        place = first_true(wrong)
        fix = "but probabilities are finite and at least 0; of logits, pass the softmax"
        raise ValueError(f"{name}[{', '.join(map(str, place))}] is {float(x[place])}, {fix}")
    sums = total(x, axes, keepdims=True)
    wrong = ~((sums > 0) & (sums < math.inf) if normalize else xp.abs(sums - 1) <= tolerance)
    if not normalize and is_true(xp.any(wrong)):
        wrong = ~(xp.abs(sums - 1) <= rounding_tolerance(original, math.prod(x.shape[k] for k in axes)))
    if is_true(xp.any(wrong)):
        place = first_true(wrong)
        row = ", ".join(":" if k - x.ndim in axes else str(i) for k, i in enumerate(place))
        fix = f"not to 1 within {tolerance:.2g} ({original.dtype}); pass normalize=True to divide by the sum"
        fix = "which nothing can divide to 1; leave it out" if normalize else fix
        raise ValueError(f"{name}[{row}] sums to {float(sums[place])}, {fix}")
    return xp.astype(x / sums, x.dtype, copy=False) if normalize else x
