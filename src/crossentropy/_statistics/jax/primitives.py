"""Three primitives of JAX: the statistics of rows, their tangents, and their pullback.

JAX differentiates a program by its primitives' rules. Those of the statistics are: their derivative along a direction
is the primitive of tangents, which is linear, and the transpose of that is the pullback. On the CPU the statistics and
the pullback are native kernels; tangents, every derivative of these two, and all of it on other devices are formulas,
which JAX differentiates by itself. A batch is more rows, so `vmap` makes no loop.

The arguments of each are the arrays of the problem; then, of the last two, its statistics, which only the kernels read;
and then the tangents of what moves or the cotangents of the statistics.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad

from crossentropy._backends import Array
from crossentropy._statistics.jax import kernel
from crossentropy._statistics.jax.binding import abstract, make_primitive, same_axes, with_batch_in_front
from crossentropy._statistics.jax.problem import RowProblem

__all__ = ["row_statistics"]


def row_statistics(problem: RowProblem, *arrays: Array) -> list[Array]:
    """The statistics under the problem's `names`, differentiable."""
    return STATISTICS.bind(*same_axes(arrays), problem=problem)


# ------------------------------------------------------------------------------------------ what each computes


def _statistics(*arrays: Array, problem: RowProblem) -> list[Array]:
    found = problem.statistics(
        *arrays
    )  # of what only kernels need there is none, and the pullback reads none
    return [
        jnp.zeros(shape, dtype) if (x := getattr(found, name, None)) is None else jnp.astype(x, dtype)
        for name, shape, dtype in zip(
            problem.names, problem.shapes(*arrays[:2]), problem.dtypes(arrays[0]), strict=True
        )
    ]


def _tangents(*arguments: Array, problem: RowProblem) -> tuple[Array, ...]:
    arrays, _, dots = problem.parts(arguments)
    return problem.tangents(arrays, dots)


def _pullback(*arguments: Array, problem: RowProblem) -> tuple[Array, ...]:
    arrays, _, cotangents = problem.parts(arguments)
    return problem.pulled_back(arrays, cotangents)


# --------------------------------------------------------------------------------------------- their results


def _abstract_statistics(*arrays: Any, problem: RowProblem) -> list[Any]:
    shapes, dtypes = problem.shapes(*arrays[:2]), problem.dtypes(arrays[0])
    return [abstract(shape, dtype, arrays) for shape, dtype in zip(shapes, dtypes, strict=True)]


def _abstract_tangents(*arguments: Any, problem: RowProblem) -> list[Any]:
    shapes = dict(zip(problem.names, problem.shapes(*arguments[:2]), strict=True))
    return [abstract(shapes[name], problem.dtype, arguments) for name in problem.differentiable]


def _abstract_pullback(*arguments: Any, problem: RowProblem) -> list[Any]:
    return [abstract(x.shape, x.dtype, arguments) for x in problem.moved(arguments)]


# ------------------------------------------------------------------------------------------------ their rules


def _differentiate_statistics(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: RowProblem
) -> tuple[list[Array], list[Any]]:
    names = problem.names
    problem = replace(problem, with_gradient=problem.few)
    stats = STATISTICS.bind(*arrays, problem=problem)
    moving = tuple(i for i in (0, 1) if type(dots[i]) is not ad.Zero)
    tangents: dict[str, Any] = {}
    if moving:
        moved = replace(problem, moving=moving)
        linear = [dots[i] for i in moving]
        found = TANGENTS.bind(*same_axes([*arrays, *stats, *linear]), problem=moved)
        tangents = dict(zip(moved.differentiable, found, strict=True))
    if problem.prior == "given" and type(dots[2]) is not ad.Zero:

        def by_prior(values: Array) -> Array:
            return problem.statistics(*arrays[:2], values).prior_term

        _, dot = jax.jvp(by_prior, (arrays[2],), (dots[2],))
        tangents["prior_term"] = tangents["prior_term"] + dot if "prior_term" in tangents else dot
    stats = stats[: len(names)]
    return stats, [
        tangents[name] if name in tangents else ad.Zero(jax.typeof(x))
        for name, x in zip(names, stats, strict=True)
    ]


def _differentiate_linear(
    primitive: Primitive,
    formula: Callable[..., Sequence[Array]],
    arguments: Sequence[Array],
    dots: Sequence[Any],
    *,
    problem: RowProblem,
) -> tuple[Sequence[Array], Sequence[Array]]:
    """The rule of a primitive that is linear in what follows the statistics."""
    value = primitive.bind(*arguments, problem=problem)
    others = problem.arrays + len(problem.names)
    dots = [
        jnp.zeros_like(x) if type(dot) is ad.Zero and i >= others else dot
        for i, (x, dot) in enumerate(zip(arguments, dots, strict=True))
    ]
    if all(type(dot) is ad.Zero for dot in dots[:others]):
        linear = same_axes([*arguments[:others], *dots[others:]])
        return value, primitive.bind(*linear, problem=problem)
    # The statistics are functions of the arrays, through which the formula differentiates.
    moving = [
        i for i, dot in enumerate(dots) if type(dot) is not ad.Zero and not problem.arrays <= i < others
    ]

    def found(*moved: Array) -> tuple[Array, ...]:
        replaced = list(arguments)
        for i, x in zip(moving, moved, strict=True):
            replaced[i] = x
        return tuple(formula(*replaced, problem=problem))

    _, tangents = jax.jvp(found, tuple(arguments[i] for i in moving), tuple(dots[i] for i in moving))
    return value, tangents


def _transpose_tangents(cotangents: Sequence[Any], *arguments: Any, problem: RowProblem) -> list[Any]:
    known = problem.arrays + len(problem.names)
    given = {
        name: x for name, x in zip(problem.differentiable, cotangents, strict=True) if type(x) is not ad.Zero
    }
    if not given:
        return [None] * known + [ad.Zero(x.aval) for x in arguments[known:]]
    pulled = replace(problem, cotangents=tuple(given))
    gradients = PULLBACK.bind(*same_axes([*arguments[:known], *given.values()]), problem=pulled)
    return [None] * known + list(gradients)


def _transpose_pullback(dots: Sequence[Any], *arguments: Any, problem: RowProblem) -> list[Any]:
    known = problem.arrays + len(problem.names)
    dots = [
        jnp.zeros_like(x) if type(dot) is ad.Zero else dot
        for x, dot in zip(problem.moved(tuple(arguments)), dots, strict=True)
    ]
    tangents = TANGENTS.bind(*same_axes([*arguments[:known], *dots]), problem=replace(problem, cotangents=()))
    found = dict(zip(problem.differentiable, tangents, strict=True))
    return [None] * known + [found[name] for name in problem.cotangents]


def _batch(
    primitive: Primitive,
    formula: Callable[..., Sequence[Array]],
    arguments: Sequence[Array],
    axes: Sequence[int | None],
    *,
    problem: RowProblem,
) -> tuple[Sequence[Array], Sequence[int]]:
    """A batch in front of the rows, which shares the prior; if each has a prior of its own, the formula."""
    if problem.prior == "given" and axes[2] is not None:
        found = jax.vmap(partial(formula, problem=problem), in_axes=tuple(axes))(*arguments)
        return found, (0,) * len(found)
    shared = (2,) if problem.prior == "given" else ()
    batched = with_batch_in_front(arguments, axes, shared)
    found = primitive.bind(*batched, problem=problem)
    return found, (0,) * len(found)


STATISTICS = make_primitive("row_statistics", _statistics, _abstract_statistics, _batch, kernel.statistics)
TANGENTS = make_primitive("row_tangents", _tangents, _abstract_tangents, _batch, None)
PULLBACK = make_primitive("row_pullback", _pullback, _abstract_pullback, _batch, kernel.pullback)
ad.primitive_jvps[STATISTICS] = _differentiate_statistics
ad.primitive_jvps[TANGENTS] = partial(_differentiate_linear, TANGENTS, _tangents)
ad.primitive_jvps[PULLBACK] = partial(_differentiate_linear, PULLBACK, _pullback)
ad.primitive_transposes[TANGENTS] = _transpose_tangents
ad.primitive_transposes[PULLBACK] = _transpose_pullback
