"""The choice of who differentiates the cosines: each library in its own terms."""

from functools import partial
from typing import Any

from crossentropy._backends import Array, is_jax, is_numpy, is_taped, is_tensorflow, is_torch, namespace
from crossentropy._backends.tape import node, plain
from crossentropy._statistics.cosines import formulas

__all__ = ["cosines", "serves"]


def serves(x: Array, y: Array) -> bool:
    """Tell whether the cosines of these features are computed here: float64, at least one row of each."""
    if not all(z.dtype == namespace(z).float64 and 0 not in z.shape for z in (x, y)):
        return False
    if is_torch(x):
        from crossentropy._statistics.cosines import autograd

        return autograd.serves()
    if is_jax(x):
        from crossentropy._statistics.jax.binding import has_no_sharding

        return has_no_sharding(x) and has_no_sharding(y)
    return is_numpy(x) or is_taped(x) or is_tensorflow(x)


def cosines(x: Array, y: Array) -> Array:
    """The cosine of every row of `x` (N, d) and every row of `y` (M, d), shape (N, M), differentiable."""
    if is_torch(x):
        from crossentropy._statistics.cosines import autograd

        return autograd.cosines(x, y)
    if is_jax(x):
        from crossentropy._statistics.cosines import primitives

        return primitives.cosines(x, y)
    if is_tensorflow(x):
        from crossentropy._statistics.cosines import tensorflow

        return tensorflow.cosines(x, y)
    return _of_numpy(x, y)


def _of_numpy(x: Any, y: Any) -> Any:
    """The cosines, on the tape if features are."""
    a, b = plain(x), plain(y)

    def pull(g: Array, x: Array, y: Array) -> Array:
        return formulas.pulled_back(x, y, g)

    by_x, by_y = partial(pull, x=a, y=b), lambda g: pull(g.T, b, a)
    return node(formulas.cosines(a, b), (x, by_x), (y, by_y))
