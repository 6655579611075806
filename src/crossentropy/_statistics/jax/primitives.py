"""Three primitives of JAX: the statistics of rows, their tangents, and their pullback.

JAX differentiates a program by its primitives' rules. Those of the statistics are: their derivative along a direction
is the primitive of tangents, which is linear, and the transpose of that is the pullback. On the CPU the statistics and
the pullback are native kernels; tangents, every derivative of these two, and all of it on other devices are formulas,
which JAX differentiates by itself. A batch is more rows, so `vmap` makes no loop.

The arguments of each are the arrays of the problem; then, of the last two, its statistics, which only the kernels read;
and then the tangents of what moves or the cotangents of the statistics.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from crossentropy._backends import Array
from crossentropy._statistics.jax import kernel
from crossentropy._statistics.jax.binding import abstract, make_primitive, same_axes
from crossentropy._statistics.jax.problem import RowProblem
from crossentropy._statistics.jax.rules import differentiate_linear, tangents_by_formula

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
    known, linear = list(arrays), list(dots[:2])
    if problem.has_bias and type(dots[-1]) is not ad.Zero:  # u = z/T + b moves with b as with T b added to z
        shifted = jnp.expand_dims(problem.temperature * dots[-1], range(1, -problem.axis))
        # The gradient of b adds up what is not rounded; vectors have the type that the kernels compute in.
        known = [jnp.astype(x, problem.dtype) if i != 1 else x for i, x in enumerate(known)]
        own = None if type(dots[0]) is ad.Zero else jnp.astype(dots[0], problem.dtype)
        shifted = jnp.broadcast_to(shifted, known[0].shape)
        linear[0] = jnp.astype(shifted, problem.dtype) if own is None else own + shifted
    moving = tuple(i for i in (0, 1) if type(linear[i]) is not ad.Zero)
    tangents: dict[str, Any] = {}
    if moving:
        moved = replace(problem, moving=moving)
        found = TANGENTS.bind(*same_axes([*known, *stats, *(linear[i] for i in moving)]), problem=moved)
        tangents = dict(zip(moved.differentiable, found, strict=True))
    if problem.prior == "given" and type(dots[2]) is not ad.Zero:

        def by_prior(values: Array, *, problem: RowProblem) -> list[Array]:
            replaced = [*arrays[:2], values, *arrays[3:]]
            return [problem.statistics(*replaced).prior_term]

        (dot,) = tangents_by_formula(by_prior, arrays[2:3], dots[2:3], problem) or ()
        tangents["prior_term"] = tangents["prior_term"] + dot if "prior_term" in tangents else dot
    stats = stats[: len(names)]
    return stats, [
        tangents[name] if name in tangents else ad.Zero(jax.typeof(x))
        for name, x in zip(names, stats, strict=True)
    ]


def _transpose_tangents(cotangents: Sequence[Any], *arguments: Any, problem: RowProblem) -> list[Any]:
    known = problem.known
    given = {
        name: x for name, x in zip(problem.differentiable, cotangents, strict=True) if type(x) is not ad.Zero
    }
    if not given:
        return [None] * known + [ad.Zero(x.aval) for x in arguments[known:]]
    pulled = replace(problem, cotangents=tuple(given))
    gradients = PULLBACK.bind(*same_axes([*arguments[:known], *given.values()]), problem=pulled)
    return [None] * known + list(gradients)


def _transpose_pullback(dots: Sequence[Any], *arguments: Any, problem: RowProblem) -> list[Any]:
    known = problem.known
    dots = [
        jnp.zeros_like(x) if type(dot) is ad.Zero else dot
        for x, dot in zip(problem.moved(tuple(arguments)), dots, strict=True)
    ]
    tangents = TANGENTS.bind(*same_axes([*arguments[:known], *dots]), problem=replace(problem, cotangents=()))
    found = dict(zip(problem.differentiable, tangents, strict=True))
    return [None] * known + [found[name] for name in problem.cotangents]


STATISTICS = make_primitive("row_statistics", _statistics, _abstract_statistics, kernel.statistics)
TANGENTS = make_primitive("row_tangents", _tangents, _abstract_tangents, None)
PULLBACK = make_primitive("row_pullback", _pullback, _abstract_pullback, kernel.pullback)
ad.primitive_jvps[STATISTICS] = _differentiate_statistics
ad.primitive_jvps[TANGENTS] = partial(differentiate_linear, TANGENTS, _tangents)
ad.primitive_jvps[PULLBACK] = partial(differentiate_linear, PULLBACK, _pullback)
ad.primitive_transposes[TANGENTS] = _transpose_tangents
ad.primitive_transposes[PULLBACK] = _transpose_pullback
