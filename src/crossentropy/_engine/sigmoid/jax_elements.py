"""The sigmoid losses of JAX arrays by two primitives: the losses of elements, and these with their slopes.

The slope is the derivative by the logit, so the tangent of a loss is the slope times the tangent of the logit. On the
CPU both are the native kernel, which computes losses and slopes in one sweep. Every other derivative, of the slope too,
is that of the formula, and so are the two on other devices. A batch is more rows, so `vmap` makes no loop.

Where the losses are added up anyway, those of a row, its classes and what lies behind them, are one result, so that no
array of the size of the logits is made but the slopes.

The arguments are the logits and labels, then those of the sample weights and the weights of the classes that there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad

from crossentropy._backends import Array, loss_dtype
from crossentropy._engine.sigmoid.cpu import ELEMENTS
from crossentropy._engine.sigmoid.formula import element_losses, element_weights
from crossentropy._engine.sigmoid.problem import Options, Problem
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.jax.binding import abstract, has_no_sharding, make_primitive, same_axes
from crossentropy._statistics.jax.call import call
from crossentropy._statistics.jax.rules import tangents_by_formula
from crossentropy.links import Focal

__all__ = ["losses"]

HANDLER = "crossentropy_sigmoid_losses"
LEAST_ROWS = 64  # that are summed each by one thread


@dataclass(frozen=True)
class Elements:
    """The statics of a problem of elements; `axis`, that of the classes, counts from the end."""

    axis: int
    classes: int
    inner: int
    has_sample_weight: bool
    class_weights: int  # none, w₊, or w₊ and w₋
    smoothing: float
    gamma: float
    negative_gamma: float
    negative_shift: float
    summed: bool  # whether the losses are those of rows, the axes in front of the classes

    @property
    def vectors(self) -> range:
        """The places of the weights of classes, which a batch shares."""
        first = 2 + self.has_sample_weight
        return range(first, first + self.class_weights)

    def rows(self, logits: Any) -> int:
        """How many axes in front of the classes are of rows."""
        return len(logits.shape) + self.axis

    def results(self, logits: Any) -> list[tuple[tuple[int, ...], Any]]:
        """Shapes and dtypes of the losses and the slopes."""
        shape = tuple(logits.shape)
        return [(shape[: self.rows(logits)] if self.summed else shape, logits.dtype), (shape, logits.dtype)]

    def of_rows(self, x: Array) -> Array:
        """An array of the shape of the logits, summed as the losses are."""
        return jnp.sum(x, axis=tuple(range(self.axis, 0))) if self.summed else x

    def problem(self, logits: Array, labels: Array, *weights: Array) -> Problem:
        """The problem of its arrays, for the formula."""
        omega, vectors = weights[: self.has_sample_weight], weights[self.has_sample_weight :]
        positive, negative = (*vectors, None, None)[:2]
        options = Options(
            classes=self.classes,
            inner=self.inner,
            axis=logits.ndim + self.axis,
            label_smoothing=self.smoothing,
            link=Focal(self.gamma),
            negative_link=Focal(self.negative_gamma),
            gamma=self.gamma,
            negative_gamma=self.negative_gamma,
            negative_shift=self.negative_shift,
            reduction="none",
            normalizer="weight",
            empty="zero",
            validate=False,
            divides_by_weight=False,
            divides_by_element=False,
        )
        return Problem(logits, labels, omega[0] if omega else None, positive, negative, options)


def losses(problem: Problem, weights: tuple[Array, Array] | None, xp: Any) -> Array:
    """The losses of elements times their weights, in the shape of the logits; or sums of them if they are reduced."""
    options, logits, omega = problem.options, problem.logits, problem.sample_weight
    if not _serves(problem):
        return element_losses(problem, weights, xp)
    vectors = [x for x in (problem.positive_weight, problem.negative_weight) if x is not None]
    elements = Elements(
        axis=options.axis - logits.ndim,
        classes=options.classes,
        inner=options.inner,
        has_sample_weight=omega is not None,
        class_weights=len(vectors),
        smoothing=options.label_smoothing,
        gamma=options.gamma or 0.0,
        negative_gamma=options.negative_gamma or 0.0,
        negative_shift=options.negative_shift,
        summed=(
            (options.reduction != "none" and not options.divides_by_element)
            and (options.classes * options.inner > 1 and prod(logits.shape[: options.axis]) >= LEAST_ROWS)
        ),
    )
    wide = jnp.astype(logits, loss_dtype(logits))
    arrays = [wide, problem.labels, *([] if omega is None else [omega]), *vectors]
    return LOSSES.bind(*same_axes(arrays), problem=elements)[0]


def _serves(problem: Problem) -> bool:
    """Tell whether the primitives serve a problem; a number that is traced may have a derivative."""
    options, logits = problem.options, problem.logits
    return (
        options.gamma is not None
        and options.negative_gamma is not None
        and isinstance(options.label_smoothing, float)
        and isinstance(options.negative_shift, float)
        and logits.ndim > 0
        and logits.size > 0
        and {logits.dtype.name, problem.labels.dtype.name} <= ELEMENTS.keys()
        and has_no_sharding(logits)
    )


def _losses(*arrays: Array, problem: Elements) -> list[Array]:
    stated = problem.problem(*arrays)
    return [problem.of_rows(element_losses(stated, element_weights(stated, jnp), jnp))]


def _with_slopes(logits: Array, *arrays: Array, problem: Elements) -> list[Array]:
    def of_logits(z: Array) -> Array:
        return _losses(z, *arrays, problem=replace(problem, summed=False))[0]

    losses, slopes = jax.jvp(of_logits, (logits,), (jnp.ones_like(logits),))
    return [problem.of_rows(losses), slopes]


def _native(results: int, problem: Elements, *arrays: Array) -> Sequence[Array]:
    """Call the kernel for so many results, with the settings as native/xla/sigmoid.cpp reads them."""
    logits = arrays[0]
    numbers = [
        NumpyMemory.threads(),
        problem.classes,
        problem.inner,
        problem.has_sample_weight,
        problem.has_sample_weight and arrays[2].ndim < logits.ndim,
        problem.class_weights,
        problem.smoothing,
        problem.gamma,
        problem.negative_gamma,
        problem.negative_shift,
        problem.summed,
    ]
    settings, shape = np.asarray(numbers, np.float64), logits.shape
    rows = 0 if problem.class_weights else problem.rows(logits)
    # Elements without classes are rows of one class, whose axis XLA needs to see that they are rows.
    if problem.classes == problem.inner == 1 and all(x.shape == shape for x in arrays):
        columns = [x[..., None] for x in arrays]
        kinds = [((*shape, 1), logits.dtype)] * results
        return [x[..., 0] for x in call(HANDLER, kinds, columns, settings, len(shape))]
    return call(HANDLER, problem.results(logits)[:results], arrays, settings, rows)


def _abstract(results: int, *arrays: Any, problem: Elements) -> list[Any]:
    return [abstract(shape, dtype, arrays) for shape, dtype in problem.results(arrays[0])[:results]]


def _differentiate_losses(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Elements
) -> tuple[Sequence[Array], Sequence[Any]]:
    found = tangents_by_formula(_losses, arrays, [ad.Zero(jax.typeof(arrays[0])), *dots[1:]], problem)
    if type(dots[0]) is ad.Zero:
        (value,) = LOSSES.bind(*arrays, problem=problem)
    else:
        value, slope = WITH_SLOPES.bind(*arrays, problem=problem)
        by_logits = problem.of_rows(slope * dots[0])
        found = (by_logits if found is None else found[0] + by_logits,)
    return [value], [ad.Zero(jax.typeof(value))] if found is None else found


def _differentiate_slopes(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Elements
) -> tuple[Sequence[Array], Sequence[Any]]:
    found = WITH_SLOPES.bind(*arrays, problem=problem)
    tangents = tangents_by_formula(_with_slopes, arrays, dots, problem)
    return found, [ad.Zero(jax.typeof(x)) for x in found] if tangents is None else tangents


LOSSES = make_primitive("sigmoid_losses", _losses, partial(_abstract, 1), partial(_native, 1))
WITH_SLOPES = make_primitive(
    "sigmoid_losses_with_slopes", _with_slopes, partial(_abstract, 2), partial(_native, 2)
)
ad.primitive_jvps[LOSSES] = _differentiate_losses
ad.primitive_jvps[WITH_SLOPES] = _differentiate_slopes
