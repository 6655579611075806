"""Rules of derivatives that primitives of JAX have in common: by their formulas, which JAX differentiates by itself."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad

from crossentropy._backends import Array
from crossentropy._statistics.jax.binding import same_axes

__all__ = ["differentiate_linear", "tangents_by_formula"]


def tangents_by_formula(
    formula: Callable[..., Sequence[Array]], arrays: Sequence[Array], dots: Sequence[Any], problem: Any
) -> tuple[Array, ...] | None:
    """The tangents of ``formula(*arrays, problem=)`` along the arrays that move; None if none does."""
    moving = [i for i, dot in enumerate(dots) if type(dot) is not ad.Zero]
    if not moving:
        return None

    def found(*moved: Array) -> tuple[Array, ...]:
        replaced = list(arrays)
        for i, x in zip(moving, moved, strict=True):
            replaced[i] = x
        return tuple(formula(*replaced, problem=problem))

    return jax.jvp(found, tuple(arrays[i] for i in moving), tuple(dots[i] for i in moving))[1]


def differentiate_linear(
    primitive: Primitive,
    formula: Callable[..., Sequence[Array]],
    arguments: Sequence[Array],
    dots: Sequence[Any],
    *,
    problem: Any,
) -> tuple[Sequence[Array], Sequence[Array]]:
    """The rule of a primitive that is linear in its arguments from ``problem.known`` on.

    Before these are ``problem.arrays`` arrays, and perhaps statistics, which are functions of the arrays, through which
    the formula differentiates.
    """
    value = primitive.bind(*arguments, problem=problem)
    known = problem.known
    dots = [
        jnp.zeros_like(x) if type(dot) is ad.Zero and i >= known else dot
        for i, (x, dot) in enumerate(zip(arguments, dots, strict=True))
    ]
    if all(type(dot) is ad.Zero for dot in dots[:known]):
        return value, primitive.bind(*same_axes([*arguments[:known], *dots[known:]]), problem=problem)
    statistics = range(problem.arrays, known)
    dots = [
        ad.Zero(jax.typeof(x)) if i in statistics else dot
        for i, (x, dot) in enumerate(zip(arguments, dots, strict=True))
    ]
    tangents = tangents_by_formula(formula, arguments, dots, problem)
    return value, tangents or ()
