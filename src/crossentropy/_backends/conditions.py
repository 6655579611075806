"""Conditions on values that may not be known: of arrays in a traced program, on a device, or of an option's number."""

import sys
from collections.abc import Sequence
from typing import Any

from crossentropy._backends import PYTHON_VALUES, Array, is_jax, is_recorded, is_torch, namespace

__all__ = [
    "check_static",
    "first_true",
    "is_false",
    "is_traced",
    "is_true",
    "is_zero",
    "traced_error",
    "unravel",
]


def is_true(flag: Array, *, wait: bool = False) -> bool:
    """Whether an array of one bool is known to be true.

    It is not where values cannot be read: in a compiled or traced function, under `vmap`, on a meta device. Nor on
    a GPU, unless it may be waited for.

    Examples
    --------
    >>> import numpy as np
    >>> is_true(np.asarray(True))
    True
    """
    if is_recorded(flag):
        return False
    try:
        if not wait and _is_elsewhere(flag):
            return False
        return bool(flag)
    except (RuntimeError, TypeError):  # what PyTorch, and what JAX, raise for a value they do not have yet
        return False


def is_false(condition: Any) -> bool:
    """Whether a condition on an option is known not to hold: of a number it is, of a traced one it is not.

    Examples
    --------
    >>> is_false(0 < 1), is_false(float("nan") < 1)
    (False, True)
    """
    return not condition if isinstance(condition, bool) else is_true(~condition)


def is_zero(option: Any) -> bool:
    """Whether an option is the number 0, so that its term may be left out; an array is not, whatever it holds.

    Examples
    --------
    >>> import numpy as np
    >>> is_zero(0.0), is_zero(np.zeros(()))
    (True, False)
    """
    return isinstance(option, (int, float)) and option == 0


def check_static(**options: Any) -> None:
    """Refuse options that are traced by JAX where a formula is chosen by their value.

    Examples
    --------
    >>> check_static(order=2)
    """
    for name, value in options.items():
        if is_traced(value):
            raise traced_error(name)


def is_traced(value: Any) -> bool:
    """Whether `value` is a number or an array that JAX does not know yet.

    Examples
    --------
    >>> is_traced(0.5)
    False
    """
    python = isinstance(value, PYTHON_VALUES)  # torch.compile gets no further
    return not python and is_jax(value) and isinstance(value, sys.modules["jax"].core.Tracer)


def traced_error(name: str) -> TypeError:
    """The error of an option that is traced where a program depends on its value.

    Examples
    --------
    >>> print(traced_error("order"))
    order is traced, but which formula is computed depends on its value; pass a Python number and, to a function under \
jax.jit, static_argnames='order'
    """
    return TypeError(
        f"{name} is traced, but which formula is computed depends on its value; pass a Python number and, to a "
        f"function under jax.jit, static_argnames={name!r}"
    )


def _is_elsewhere(x: Array) -> bool:
    """Whether `x` is computed by a device that runs behind this program."""
    if is_torch(x):
        return bool(x.device.type != "cpu")
    return is_jax(x) and any(place.platform != "cpu" for place in x.devices())


def first_true(flags: Array) -> tuple[int, ...]:
    """Where the first true value of an array of bool stands.

    Examples
    --------
    >>> import numpy as np
    >>> first_true(np.asarray([[False, False], [True, False]]))
    (1, 0)
    """
    xp = namespace(flags)
    return unravel(int(xp.argmax(xp.astype(xp.reshape(flags, (-1,)), xp.int32))), flags.shape)


def unravel(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The indices of an entry of an array that stands at `flat` in C order.

    Examples
    --------
    >>> unravel(5, (2, 3))
    (1, 2)
    """
    place: list[int] = []
    for size in reversed(shape):
        flat, i = divmod(flat, size)
        place.append(i)
    return tuple(reversed(place))
