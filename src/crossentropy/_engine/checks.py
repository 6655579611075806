"""Checks of single arguments that many losses have: logits, shares, links, `ignore_index`, `validate`, `normalizer`."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from crossentropy._arguments.arrays import as_array
from crossentropy._arguments.errors import as_written, integer, number
from crossentropy._backends import INF, Array, is_number, is_numpy, is_torch
from crossentropy._backends.conditions import check_static, is_false
from crossentropy._backends.dtypes import dtype_name, is_kind
from crossentropy._engine.weights import like
from crossentropy._rows import class_axis
from crossentropy._statistics.formulas import widened
from crossentropy.links import Link


def check_logits(
    logits: Array, axis: int, name: str = "logits", *, labels: Any = None, ready: bool = False
) -> tuple[Array, int]:
    """Floating logits with at least one class, and their class axis counted from 0.

    `name` is the argument that they were passed as; the labels, if they are at hand, may have been passed in its place.
    Those that are `ready` are a tensor that need not be converted.
    """
    if not isinstance(axis, int):
        integer(axis, "axis")
    logits = logits if ready else as_array(logits, name)
    floating = logits.is_floating_point() if ready or is_torch(logits) else is_kind(logits, "real floating")
    if not floating:
        raise not_floating_error(logits, name, labels)
    shape = logits.shape
    if not shape:
        raise ValueError(f"{name} are a single number; they need a class axis")
    axis = len(shape) - 1 if axis == -1 else class_axis(axis, shape, name)
    if shape[axis] == 0:
        raise no_classes_error(shape, axis, name)
    return logits, axis


def no_classes_error(shape: Sequence[int], axis: int, name: str) -> ValueError:
    """Build the error for logits without a class along their class axis."""
    return ValueError(f"{name} of shape {tuple(shape)} have no classes along axis {axis}")


def not_floating_error(logits: Array, name: str, labels: Any = None) -> TypeError:
    """What to say of logits that are no floating-point numbers, which may be the labels."""
    if "float" in str(getattr(labels, "dtype", "")):
        return TypeError(
            f"{name} have dtype {logits.dtype} and labels {labels.dtype}; {name} come first and are floating, "
            "labels come second: exchange the two"
        )
    cast = f"{name}.float()" if is_torch(logits) else f"{name}.astype(float)"
    return TypeError(f"{name} have dtype {logits.dtype}; pass floating-point numbers, such as {cast}")


def python_number(value: Any, name: str) -> Any:
    """`value`, but one number of NumPy, which no library would take for its own, as Python's."""
    if value is None or isinstance(value, (int, float)):
        return value
    return float(as_array(value, name)) if is_numpy(value) and value.ndim == 0 else value


def as_share(value: Any, name: str) -> Any:
    """`value`, an array of one number in the widest dtype, which holds what is left of 1; refuse what is no share."""
    if is_false((number(value, name) >= 0) & (value <= 1)):
        raise ValueError(f"{name} is {value}; it is a share of the label, from 0 to 1")
    return widened(value)


def check_factor(value: Any, name: str) -> None:
    """Refuse what a term of a loss cannot be multiplied by."""
    if isinstance(number(value, name), (int, float)) and not -INF < value < INF:
        raise ValueError(f"{name} is {value}; it multiplies a term of the loss, so it has to be finite")


def checked_link(link: Any, name: str) -> Link:
    """`link`, if it is one."""
    if isinstance(link, type) or not isinstance(link, Link):
        raise TypeError(
            f"{name} is {as_written(link)}; pass an instance, such as crossentropy.links.Focal(gamma=2.0)"
        )
    return link


def check_ignore_index(ignore_index: int | None) -> None:
    """Refuse what is no label."""
    check_static(ignore_index=ignore_index)
    if ignore_index is not None and not isinstance(ignore_index, Integral):
        raise TypeError(
            f"ignore_index is {as_written(ignore_index)}; pass the one label to leave out, an integer, or None"
        )


def check_validate(validate: str) -> bool:
    """Whether values are to be checked."""
    if validate not in ("raise", "none"):
        raise ValueError(f'validate is {validate!r}; write "raise" or "none"')
    return validate == "raise"


def as_normalizer(normalizer: Any, logits: Array) -> Any:
    """A word or a number as it is, anything else as an array beside the logits."""
    if isinstance(normalizer, str) or is_number(normalizer):
        return normalizer
    return like(normalizer, logits, "normalizer")


def check_floating(logits: Array, name: str, labels: Any = None) -> None:
    """Refuse logits of integers; `name` is the argument that they were passed as."""
    if not (logits.is_floating_point() if is_torch(logits) else "float" in dtype_name(logits)):
        raise not_floating_error(logits, name, labels)
