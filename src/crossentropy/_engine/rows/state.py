"""Arrays that a loss keeps from call to call: where they lie, how they are written, saved and checked."""

from typing import Any

from crossentropy._arguments.arrays import as_array
from crossentropy._backends import (
    Array,
    constant,
    device,
    is_jax,
    is_numpy,
    is_torch,
    namespace,
    widest_dtype,
)
from crossentropy._backends.modes import is_tracer


def check_values(x: Array, what: str) -> None:
    """Refuse values that cannot be kept."""
    if is_tracer(constant(x)):
        raise TypeError(
            f"{what} is called in a function that is compiled or transformed, which cannot change a state; "
            "call it outside"
        )


def taken_state(state: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> list[Array]:
    """Copies of the arrays of a state in the order of `shapes`; of other names or shapes it is refused."""
    if set(state) != set(shapes):
        raise ValueError(f"the state has {sorted(state)}; it needs {sorted(shapes)}")
    arrays = [as_array(state[name], name) for name in shapes]
    for x, (name, shape) in zip(arrays, shapes.items(), strict=True):
        if tuple(x.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(x.shape)} in the state, but this object has {shape}")
    return [copied(x) for x in arrays]


def copied(x: Array) -> Array:
    """A copy that shares nothing."""
    return x.detach().clone() if is_torch(x) else namespace(x).asarray(x, copy=True)


def beside(x: Array, like: Array) -> Array:
    """`x` in the library and on the device of `like`."""
    import numpy

    xp = namespace(like)
    if is_torch(like):
        x = x if is_torch(x) else xp.asarray(numpy.asarray(x), device=like.device)
        return x.to(like.device, widest_dtype(like) if x.dtype == xp.float64 else x.dtype)
    if type(x) is type(like) or (is_jax(x) and is_jax(like)):
        return x
    return xp.asarray(numpy.asarray(x.cpu() if is_torch(x) else x), device=device(like))


def last_of_equals(place: Array) -> Array:
    """For each of a row of integers, where it stands last."""
    xp = namespace(place)
    order = xp.argsort(place, stable=True)
    return xp.take(order, xp.searchsorted(xp.take(place, order), place, side="right") - 1)


def written(state: Array, place: Array, rows: Array) -> Array:
    """`state` with these rows at these places; of equal places the rows are equal."""
    if is_torch(state) or is_numpy(state):
        state[place] = rows
        return state
    if is_jax(state):
        return state.at[place].set(rows)
    for i in range(rows.shape[0]):
        state[int(place[i]), ...] = rows[i, ...]
    return state
