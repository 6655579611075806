"""Divergences of JAX arrays by two primitives: those of rows, and those with their slopes.

The slopes are the derivatives by logits, so the tangent of a divergence is the sum of slopes times tangents. On the CPU
both are the native kernel, which computes values and slopes in one sweep. Every other derivative, and all of it on
other devices, is that of the formulas. A batch is more rows, so `vmap` makes no loop.

The arguments are the logits, and then which rows are live if not all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad

from crossentropy._backends import Array, widest_dtype
from crossentropy._engine.divergence.formulas import Divergence, log_probabilities
from crossentropy._engine.divergence.native import KINDS
from crossentropy._rows import rows_shape
from crossentropy._statistics import Transform
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.formulas import class_last
from crossentropy._statistics.jax.binding import DTYPES, abstract, has_no_sharding, make_primitive, same_axes
from crossentropy._statistics.jax.call import call
from crossentropy._statistics.jax.rules import tangents_by_formula

__all__ = ["of_arrays", "serves"]


@dataclass(frozen=True)
class Rows:
    """The statics of a problem; `axis`, that of the classes, counts from the end, and `dtype` is of the divergences."""

    divergence: Divergence
    axis: int
    dtype: str
    temperature: float
    inputs: int
    wanted: tuple[int, ...] = ()  # by which of the logits there are slopes

    def rows(self, *arrays: Array) -> Array:
        """The divergence of every row by the formulas."""
        logits, live = arrays[: self.inputs], arrays[self.inputs :]
        transform, axis = Transform(self.temperature), logits[0].ndim + self.axis
        logs = (log_probabilities(class_last(z, axis), transform, *live) for z in logits)
        return jnp.astype(self.divergence.rows(*logs), self.dtype)


def serves(logits: Sequence[Array], transform: Transform) -> bool:
    """Tell whether the primitives serve these logits; a temperature that is traced may have a derivative."""
    return (
        isinstance(transform.temperature, (int, float))
        and logits[0].size > 0
        and all(z.dtype.name in DTYPES and has_no_sharding(z) for z in logits)
    )


def of_arrays(
    divergence: Divergence, logits: Sequence[Array], axis: int, transform: Transform, live: Array | None
) -> Array:
    """Compute the divergence of every row of logits, in nats."""
    problem = Rows(
        divergence=divergence,
        axis=axis - logits[0].ndim,
        dtype=jnp.dtype(widest_dtype(logits[0])).name,
        temperature=float(transform.temperature),
        inputs=len(logits),
    )
    arrays = [*logits, *([] if live is None else [jnp.astype(live, bool)])]
    return DIVERGENCES.bind(*same_axes(arrays), problem=problem)[0]


def _divergences(*arrays: Array, problem: Rows) -> list[Array]:
    return [problem.rows(*arrays)]


def _with_slopes(*arrays: Array, problem: Rows) -> list[Array]:
    def of_moved(*moved: Array) -> Array:
        replaced = list(arrays)
        for i, x in zip(problem.wanted, moved, strict=True):
            replaced[i] = x
        return problem.rows(*replaced)

    moved = [jnp.astype(arrays[i], _slope_dtype(arrays[i])) for i in problem.wanted]
    values, pull = jax.vjp(of_moved, *moved)
    return [values, *pull(jnp.ones_like(values))]


def _native(problem: Rows, *arrays: Array) -> Sequence[Array]:
    """Call the kernel, with the settings as native/xla/classes.cpp reads them."""
    numbers = [
        NumpyMemory.threads(),
        -1 - problem.axis,
        KINDS.index(problem.divergence.kind),
        1.0 / problem.temperature,
        problem.inputs,
        sum(1 << i for i in problem.wanted),
    ]
    settings, rows = np.asarray(numbers, np.float64), arrays[0].ndim + problem.axis
    return call("crossentropy_divergence", _results(arrays, problem), arrays, settings, rows)


def _slope_dtype(logits: Any) -> str:
    """The dtype of slopes: that of the logits, but of half precision float32, for they are still to be multiplied."""
    return "float64" if logits.dtype.name == "float64" else "float32"


def _results(arrays: Sequence[Any], problem: Rows) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and dtypes of the values, and of the slopes that are wanted."""
    shape = arrays[0].shape
    values = rows_shape(shape, len(shape) + problem.axis), problem.dtype
    return [values, *((shape, _slope_dtype(arrays[i])) for i in problem.wanted)]


def _abstract(*arrays: Any, problem: Rows) -> list[Any]:
    return [abstract(shape, dtype, arrays) for shape, dtype in _results(arrays, problem)]


def _differentiate(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Rows
) -> tuple[Sequence[Array], Sequence[Any]]:
    """The rule of the divergences: slopes times tangents, added up."""
    moving = [i for i in range(problem.inputs) if type(dots[i]) is not ad.Zero]
    if problem.divergence.kind != "jensen-shannon" and 1 in moving:  # whose second logits are constant
        tangents = tangents_by_formula(_divergences, arrays, dots, problem)
        return DIVERGENCES.bind(*arrays, problem=problem), tangents or ()
    values, *slopes = WITH_SLOPES.bind(*arrays, problem=replace(problem, wanted=tuple(moving)))
    terms = [
        jnp.sum(slope * jnp.astype(dots[i], slope.dtype), axis=problem.axis)
        for i, slope in zip(moving, slopes, strict=True)
    ]
    if not terms:
        return [values], [ad.Zero(jax.typeof(values))]
    return [values], [jnp.astype(sum(terms[1:], terms[0]), values.dtype)]


def _differentiate_slopes(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Rows
) -> tuple[Sequence[Array], Sequence[Any]]:
    found = WITH_SLOPES.bind(*arrays, problem=problem)
    tangents = tangents_by_formula(_with_slopes, arrays, dots, problem)
    return found, [ad.Zero(jax.typeof(x)) for x in found] if tangents is None else tangents


DIVERGENCES = make_primitive("divergences", _divergences, _abstract, _native)
WITH_SLOPES = make_primitive("divergences_with_slopes", _with_slopes, _abstract, _native)
ad.primitive_jvps[DIVERGENCES] = _differentiate
ad.primitive_jvps[WITH_SLOPES] = _differentiate_slopes
