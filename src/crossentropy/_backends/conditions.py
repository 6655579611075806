"""Conditions on values that may be unknown: in a traced program, on a device that would have to be waited for."""

from collections.abc import Sequence
from typing import Any

from crossentropy._backends import Array, constant, is_jax, is_torch, namespace
from crossentropy._backends.modes import is_jax_tracer, is_recorded

__all__ = [
    "check_static",
    "entry_at",
    "first_true",
    "is_false",
    "is_true",
    "is_zero",
    "traced_error",
    "unravel",
]


def is_true(flag: Array, *, wait: bool = False) -> bool:
    """Tell whether an array of one bool is known to be true.

    False where values cannot be read: in a compiled or traced function, under `vmap`, on a meta device. Also False on
    a GPU, unless `wait` allows the host to wait for it.

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
    except (RuntimeError, TypeError):  # raised by PyTorch and by JAX for a value that is not known yet
        return False


def is_false(condition: Any) -> bool:
    """Tell whether a condition on an option is known to be false; on a traced one it is not known.

    Examples
    --------
    >>> is_false(0 < 1), is_false(float("nan") < 1)
    (False, True)
    """
    return not condition if isinstance(condition, bool) else is_true(~condition)


def is_zero(option: Any) -> bool:
    """Tell whether an option is the number 0, so that its term is skipped; False for every array.

    Examples
    --------
    >>> import numpy as np
    >>> is_zero(0.0), is_zero(np.zeros(()))
    (True, False)
    """
    return isinstance(option, (int, float)) and option == 0


def check_static(**options: Any) -> None:
    """Raise TypeError for options traced by JAX on whose values the choice of a formula depends.

    Examples
    --------
    >>> check_static(order=2)
    """
    for name, value in options.items():
        if is_jax_tracer(value):
            raise traced_error(name)


def traced_error(name: str) -> TypeError:
    """Build the error for a traced option on whose value the choice of a formula depends.

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
    """Tell whether `x` is on a device that runs asynchronously to the host."""
    if is_torch(x):
        return bool(x.device.type != "cpu")
    return is_jax(x) and any(place.platform != "cpu" for place in x.devices())


def first_true(flags: Array) -> tuple[int, ...]:
    """Return the index of the first true value of an array of bool.

    Examples
    --------
    >>> import numpy as np
    >>> first_true(np.asarray([[False, False], [True, False]]))
    (1, 0)
    """
    xp = namespace(flags)
    return unravel(int(xp.argmax(xp.astype(xp.reshape(flags, (-1,)), xp.int32))), flags.shape)


def entry_at(x: Array, place: Sequence[int]) -> Any:
    """The entry of an array at these indices, as an object of Python to be written in a message.

    Examples
    --------
    >>> import numpy as np
    >>> entry_at(np.asarray([[1.5, 0.5]]), (0, 1))
    0.5
    """
    entry = constant(x)[tuple(place)]
    if hasattr(entry, "item"):
        return entry.item()
    if not hasattr(entry, "dtype"):  # of an array of objects
        return entry
    return float(entry) if namespace(x).isdtype(x.dtype, "real floating") else int(entry)


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
