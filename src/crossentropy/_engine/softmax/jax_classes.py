"""Losses of JAX arrays that act on every class, by three primitives: losses of rows, their tangents, their pullback.

They are as those of the row statistics (`_statistics/jax/primitives.py`): on the CPU the losses and the pullback are
native kernels, the same as for NumPy and PyTorch, so that no array of the size of the logits is made but the gradient.
Tangents, every other derivative, and all of it on other devices are formulas. A batch is more rows, so `vmap` makes no
loop.

The arguments are the logits and the target, then those of class weights and smoothing prior that there are; of the last
two primitives then the tangent of the logits, or the cotangent of the losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad

from crossentropy._backends import Array, as_indices, widest_dtype
from crossentropy._engine.softmax import fused_cpu, per_class
from crossentropy._engine.softmax.problem import RowFormula, SoftmaxProblem
from crossentropy._engine.softmax.terms import dense_masses, row_masses, zero_weight_rows
from crossentropy._rows import rows_shape
from crossentropy._statistics import RowStatistics, Target, Transform
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.jax.binding import (
    DTYPES,
    abstract,
    has_no_sharding,
    make_primitive,
    same_axes,
)
from crossentropy._statistics.jax.call import call
from crossentropy._statistics.jax.rules import differentiate_linear, tangents_by_formula
from crossentropy._statistics.label_errors import check_labels
from crossentropy._statistics.problem import NONE_REQUESTED
from crossentropy.links import Link

__all__ = ["row_losses", "serves"]

#: Formulas whose pullback needs nothing that the kernel of the losses keeps.
FORMULAS = ("focal", "power", "brier", "crammer-singer", "weston-watkins")


@dataclass(frozen=True)
class Classes:
    """The statics of a problem; `axis`, that of the classes, counts from the end, and `dtype` is that of the losses."""

    axis: int
    dtype: str
    soft: bool  # whether the target is a mass for every class, not a label
    ignore_index: int | None
    link: Link
    formula: RowFormula | None
    temperature: float
    smoothing: float
    has_class_weight: bool
    has_prior: bool

    @property
    def arrays(self) -> int:
        """How many arrays make the problem."""
        return 2 + self.has_class_weight + self.has_prior

    @property
    def vectors(self) -> range:
        """The places of the vectors of classes, which a batch shares."""
        return range(2, self.arrays)

    @property
    def known(self) -> int:
        """How many arguments of the linear primitives come before those that they are linear in."""
        return self.arrays

    def problem(
        self, logits: Array, target: Array, *vectors: Array, idle: Array | None = None
    ) -> SoftmaxProblem:
        """The problem of its arrays in the dtype of the losses, for the formulas; `idle` rows have no weight."""
        each = iter(vectors)
        weight = next(each) if self.has_class_weight else None
        prior = next(each) if self.has_prior else None
        logits = jnp.astype(logits, self.dtype)
        axis = logits.ndim + self.axis
        rows = rows_shape(logits.shape, axis)
        return SoftmaxProblem(
            logits=logits,
            shape=tuple(logits.shape),
            dtype=logits.dtype,
            device=None,
            xp=jnp,
            axis=axis,
            rows=rows,
            target=Target(dense=target, class_weight=weight)
            if self.soft
            else Target(indices=target, ignore_index=self.ignore_index),
            masses=None,
            normalized=False,
            transform=Transform(self.temperature),
            requested=NONE_REQUESTED,
            link=self.link,
            label_smoothing=self.smoothing,
            smoothing_prior=prior,
            class_weight=weight,
            sample_weight=None if idle is None else jnp.astype(~idle, self.dtype),
            regularizers={},
            reduction="none",
            normalizer="weight",
            empty="zero",
            validate=False,
            formula=self.formula,
        )

    def losses(self, *arrays: Array, idle: Array | None = None) -> Array:
        """The losses of rows by the formulas; of `idle` ones, which make no sense perhaps, whatever is finite."""
        problem = self.problem(*arrays, idle=idle)
        if problem.formula is None:
            return jnp.astype(per_class.row_losses(problem)[0], self.dtype)
        return jnp.astype(problem.formula.composition(problem), self.dtype)


def serves(problem: SoftmaxProblem) -> bool:
    """Tell whether the primitives serve a problem of JAX arrays; a number that is traced may have a derivative."""
    logits: Array = problem.logits
    formula = fused_cpu.formula_of(problem.link, problem.formula)
    return (
        problem.acts_per_class
        and fused_cpu.serves(problem)
        and formula is not None
        and formula[0] in FORMULAS
        and logits.dtype.name in DTYPES
        and logits.size > 0
        and has_no_sharding(logits)
    )


def row_losses(problem: SoftmaxProblem) -> tuple[Array, Array | None]:
    """The losses of rows before their sample weights, and their masses; None stands for 1 each."""
    logits: Array = problem.logits
    target = problem.target
    wide = widest_dtype(logits)
    sums = None
    if target.dense is None:
        if problem.validate:
            check_labels(target, problem.classes)
        array = as_indices(target.indices)
    else:
        array = target.dense if target.dense.dtype.name in DTYPES else jnp.astype(target.dense, wide)
        idle = zero_weight_rows(problem)
        if idle is not None:  # the derivative by the masses of an invalid row is NaN, and 0 · NaN is NaN
            array = jnp.where(jnp.expand_dims(idle, problem.axis), jax.lax.stop_gradient(array), array)
        sums = dense_masses(problem)
    vectors = (problem.class_weight, None if problem.label_smoothing == 0 else problem.smoothing_prior)
    classes = Classes(
        axis=problem.axis - logits.ndim,
        dtype=jnp.dtype(wide).name,
        soft=target.dense is not None,
        ignore_index=target.ignore_index,
        link=problem.link,
        formula=problem.formula,
        temperature=float(problem.transform.temperature),
        smoothing=float(problem.label_smoothing),
        has_class_weight=vectors[0] is not None,
        has_prior=vectors[1] is not None,
    )
    arrays = [logits, array, *(jnp.astype(x, wide) for x in vectors if x is not None)]
    (losses,) = LOSSES.bind(*same_axes(arrays), problem=classes)
    return losses, row_masses(problem, RowStatistics(dense_total=sums))


# ------------------------------------------------------------------------------------------ what each computes


def _losses(*arrays: Array, problem: Classes) -> list[Array]:
    return [problem.losses(*arrays)]


def _tangents(*arguments: Array, problem: Classes) -> list[Array]:
    logits, *others, dot = arguments
    return [jax.jvp(lambda z: problem.losses(z, *others), (logits,), (dot,))[1]]


def _pullback(*arguments: Array, problem: Classes) -> list[Array]:
    logits, *others, cotangent = arguments
    # A row without a gradient may be one that makes no sense, and 0 · NaN is NaN.
    idle = cotangent == 0
    _, pull = jax.vjp(lambda z: problem.losses(z, *others, idle=idle), logits)
    return list(pull(cotangent))


def _native_losses(problem: Classes, *arrays: Array) -> Sequence[Array]:
    rows = rows_shape(arrays[0].shape, arrays[0].ndim + problem.axis)
    return call("crossentropy_class_losses", [(rows, problem.dtype)], arrays, *_settings(problem, arrays[0]))


def _native_pullback(problem: Classes, *arguments: Array) -> Sequence[Array]:
    logits = arguments[0]
    return call(
        "crossentropy_class_pullback", [(logits.shape, logits.dtype)], arguments, *_settings(problem, logits)
    )


def _settings(problem: Classes, logits: Array) -> tuple[np.ndarray, int]:
    """The statics as native/xla/classes.cpp reads them; how many axes in front are of rows, in all arrays."""
    name, (parameter, factor, _) = fused_cpu.formula_of(problem.link, problem.formula)  # type: ignore[misc]  # it is served
    numbers = [
        NumpyMemory.threads(),
        -1 - problem.axis,
        problem.soft,
        problem.ignore_index is not None,
        problem.ignore_index or 0,
        fused_cpu.FORMULAS.index(name),
        parameter,
        factor,
        1.0 / problem.temperature,
        problem.smoothing,
        problem.has_class_weight,
        problem.has_prior,
    ]
    return np.asarray(numbers, np.float64), 0 if problem.arrays > 2 else logits.ndim + problem.axis


# ------------------------------------------------------------------------------------- their results and rules


def _of_rows(*arguments: Any, problem: Classes) -> list[Any]:
    shape = arguments[0].shape
    return [abstract(rows_shape(shape, len(shape) + problem.axis), problem.dtype, arguments)]


def _of_logits(*arguments: Any, problem: Classes) -> list[Any]:
    return [abstract(arguments[0].shape, arguments[0].dtype, arguments)]


def _differentiate_losses(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Classes
) -> tuple[Sequence[Array], Sequence[Any]]:
    losses = LOSSES.bind(*arrays, problem=problem)
    found = tangents_by_formula(_losses, arrays, [ad.Zero(jax.typeof(arrays[0])), *dots[1:]], problem)
    if type(dots[0]) is not ad.Zero:
        (by_logits,) = TANGENTS.bind(*same_axes([*arrays, dots[0]]), problem=problem)
        found = (by_logits if found is None else by_logits + found[0],)
    return losses, [ad.Zero(jax.typeof(losses[0]))] if found is None else found


def _transpose_tangents(cotangents: Sequence[Any], *arguments: Any, problem: Classes) -> list[Any]:
    known, (cotangent,) = problem.known, cotangents
    if type(cotangent) is ad.Zero:
        return [None] * known + [ad.Zero(x.aval) for x in arguments[known:]]
    return [None] * known + list(PULLBACK.bind(*same_axes([*arguments[:known], cotangent]), problem=problem))


def _transpose_pullback(dots: Sequence[Any], *arguments: Any, problem: Classes) -> list[Any]:
    known, (dot,) = problem.known, dots
    if type(dot) is ad.Zero:
        return [None] * known + [ad.Zero(x.aval) for x in arguments[known:]]
    return [None] * known + list(TANGENTS.bind(*same_axes([*arguments[:known], dot]), problem=problem))


LOSSES = make_primitive("class_losses", _losses, _of_rows, _native_losses)
TANGENTS = make_primitive("class_tangents", _tangents, _of_rows, None)
PULLBACK = make_primitive("class_pullback", _pullback, _of_logits, _native_pullback)
ad.primitive_jvps[LOSSES] = _differentiate_losses
ad.primitive_jvps[TANGENTS] = partial(differentiate_linear, TANGENTS, _tangents)
ad.primitive_jvps[PULLBACK] = partial(differentiate_linear, PULLBACK, _pullback)
ad.primitive_transposes[TANGENTS] = _transpose_tangents
ad.primitive_transposes[PULLBACK] = _transpose_pullback
