"""Losses of JAX arrays that act on every class, by three primitives: losses of rows, their tangents, their pullback.

They are as those of the row statistics (`_statistics/jax/primitives.py`): on the CPU the losses and the pullback are
native kernels, the same as for NumPy and PyTorch, so that no array of the size of the logits is made but the gradient.
Tangents, every other derivative, and all of it on other devices are formulas. A batch is more rows, so `vmap` makes no
loop.

The arguments are the logits and the target, then those of class weights, smoothing prior and table of masses that there
are; of the last two primitives then what the kernel of the losses has kept, and the tangent of the logits, or the
cotangent of the losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad

from crossentropy._backends import Array, as_indices, widest_dtype
from crossentropy._engine.softmax import fused_cpu, per_class, terms
from crossentropy._engine.softmax.problem import RowFormula, SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._engine.softmax.terms import dense_masses, row_masses, zero_weight_rows
from crossentropy._rows import rows_shape
from crossentropy._statistics import RowStatistics, Target, Transform
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.jax.binding import DTYPES, abstract, has_no_sharding, make_primitive, same_axes
from crossentropy._statistics.jax.call import call
from crossentropy._statistics.jax.rules import differentiate_linear, tangents_by_formula
from crossentropy._statistics.label_errors import check_labels
from crossentropy._statistics.problem import NONE_REQUESTED
from crossentropy.links import Link

__all__ = ["row_losses", "serves"]

#: Those whose composition reads what `Classes.problem` states.
FORMULAS = fused_cpu.FORMULAS.keys() - {"mixture"}


@dataclass(frozen=True)
class Classes:
    """The statics of a problem; `axis`, that of the classes, counts from the end, and `dtype` is that of the losses."""

    axis: int
    dtype: str
    soft: bool  # whether the target is a mass for every class, not a label
    normalized: bool  # whether these masses sum to one
    ignore_index: int | None
    link: Link
    formula: RowFormula | None
    temperature: float
    smoothing: float
    has_class_weight: bool
    has_prior: bool
    has_table: bool  # (C, C), of whose rows, which labels name, the formula takes the masses
    keeps: bool = False  # whether numbers of rows that the pullback needs are a second result of the losses

    @property
    def arrays(self) -> int:
        """How many arrays make the problem."""
        return 2 + self.has_class_weight + self.has_prior + self.has_table

    @property
    def vectors(self) -> range:
        """The places of the arrays of classes, which a batch shares."""
        return range(2, self.arrays)

    @property
    def known(self) -> int:
        """How many arguments of the linear primitives come before those that they are linear in."""
        return self.arrays + self.keeps

    @property
    def kernel(self) -> fused_cpu.Kernel:
        """What the kernel of the formula does."""
        return fused_cpu.FORMULAS[fused_cpu.known_formula(self.link, self.formula)[0]]

    def rows(self, logits: Any) -> tuple[int, ...]:
        """The shape of the rows."""
        return rows_shape(logits.shape, len(logits.shape) + self.axis)

    def results(self, logits: Any) -> list[tuple[tuple[int, ...], str]]:
        """Shapes and dtypes of the losses and of what is kept: the bits of doubles, which JAX may not have."""
        rows = self.rows(logits)
        kept = [((*rows, 2 * self.kernel.kept), "uint32")] if self.keeps else []
        return [(rows, self.dtype), *kept]

    def problem(
        self, logits: Array, target: Array, *vectors: Array, idle: Array | None = None
    ) -> SoftmaxProblem:
        """The problem of its arrays in the dtype of the losses, for the formulas; `idle` rows have no weight."""
        each = iter(vectors)
        weight = next(each) if self.has_class_weight else None
        prior = next(each) if self.has_prior else None
        logits = jnp.astype(logits, self.dtype)
        axis = logits.ndim + self.axis
        rows = self.rows(logits)
        if self.has_table:
            stated = Target(dense=self._masses(target, next(each)), class_weight=weight)
            idle = self._is_ignored(target) if idle is None else idle | self._is_ignored(target)
        elif self.soft:
            stated = Target(dense=target, class_weight=weight)
        else:
            stated = Target(indices=target, ignore_index=self.ignore_index)
        return SoftmaxProblem(
            logits=logits,
            shape=tuple(logits.shape),
            dtype=logits.dtype,
            device=None,
            xp=jnp,
            axis=axis,
            rows=rows,
            target=stated,
            masses=None,
            normalized=self.normalized,
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
        if problem.formula is not None:
            losses = problem.formula.composition(problem)
        elif problem.acts_per_class:
            losses, _ = per_class.row_losses(problem)
        else:
            losses = terms.row_losses(problem, find_statistics(problem, reference=True), terms.target_losses)
        return jnp.astype(losses, self.dtype)

    def _is_ignored(self, labels: Array) -> Array:
        return jnp.zeros(labels.shape, bool) if self.ignore_index is None else labels == self.ignore_index

    def _masses(self, labels: Array, table: Array) -> Array:
        """The rows of the table that labels name, along the axis of classes: 0 where ignored, NaN if there is none."""
        known = (labels >= 0) & (labels < len(table))
        masses = jnp.where(known[..., None], table[jnp.where(known, labels, 0)], jnp.nan)
        masses = jnp.where(self._is_ignored(labels)[..., None], 0.0, masses)
        return jnp.moveaxis(masses, -1, self.axis)


def serves(problem: SoftmaxProblem) -> bool:
    """Tell whether the primitives serve a problem of JAX arrays; a number that is traced may have a derivative."""
    logits: Array = problem.logits
    return (
        problem.has_class_terms
        and fused_cpu.serves(problem)
        and (problem.formula is None or problem.formula.name in FORMULAS)
        and logits.dtype.name in DTYPES
        and logits.size > 0
        and has_no_sharding(logits)
    )


def row_losses(problem: SoftmaxProblem) -> tuple[Array, Array | None]:
    """The losses of rows before their sample weights, and their masses; None stands for 1 each."""
    logits: Array = problem.logits
    target = problem.target
    name, _ = fused_cpu.known_formula(problem.link, problem.formula)
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
        # Masses that sum to one do not weigh a loss of its own formula, nor its derivative by them.
        weighs = problem.formula is None or problem.class_weight is not None or not problem.normalized
        if weighs and fused_cpu.FORMULAS[name].times_mass:
            sums = dense_masses(problem)
    prior = None if problem.label_smoothing == 0 else problem.smoothing_prior
    vectors = (problem.class_weight, prior, problem.table)
    classes = Classes(
        axis=problem.axis - logits.ndim,
        dtype=jnp.dtype(wide).name,
        soft=target.dense is not None,
        normalized=problem.normalized,
        ignore_index=target.ignore_index,
        link=problem.link,
        formula=None if name == "cross-entropy" else problem.formula,  # which statistics tell
        temperature=float(problem.transform.temperature),
        smoothing=float(problem.label_smoothing),
        has_class_weight=vectors[0] is not None,
        has_prior=prior is not None,
        has_table=problem.table is not None,
    )
    arrays = [logits, array, *(jnp.astype(x, wide) for x in vectors if x is not None)]
    (losses,) = LOSSES.bind(*same_axes(arrays), problem=classes)
    return losses, row_masses(problem, RowStatistics(dense_total=sums))


# ------------------------------------------------------------------------------------------ what each computes


def _losses(*arrays: Array, problem: Classes) -> list[Array]:
    kept = [jnp.zeros(*result) for result in problem.results(arrays[0])[1:]]  # which only the kernel needs
    return [problem.losses(*arrays), *kept]


def _tangents(*arguments: Array, problem: Classes) -> list[Array]:
    logits, *others = arguments[: problem.arrays]
    return [jax.jvp(lambda z: problem.losses(z, *others), (logits,), (arguments[-1],))[1]]


def _pullback(*arguments: Array, problem: Classes) -> list[Array]:
    logits, *others = arguments[: problem.arrays]
    cotangent = arguments[-1]
    # A row without a gradient may be one that makes no sense, and 0 · NaN is NaN.
    idle = cotangent == 0
    _, pull = jax.vjp(lambda z: problem.losses(z, *others, idle=idle), logits)
    return list(pull(cotangent))


def _native_losses(problem: Classes, *arrays: Array) -> Sequence[Array]:
    return call(
        "crossentropy_class_losses", problem.results(arrays[0]), arrays, *_settings(problem, arrays[0])
    )


def _native_pullback(problem: Classes, *arguments: Array) -> Sequence[Array]:
    logits = arguments[0]
    return call(
        "crossentropy_class_pullback", [(logits.shape, logits.dtype)], arguments, *_settings(problem, logits)
    )


def _settings(problem: Classes, logits: Array) -> tuple[np.ndarray, int]:
    """The statics as native/xla/classes.cpp reads them; how many axes in front are of rows, in all arrays."""
    name, (parameter, factor, steps) = fused_cpu.known_formula(problem.link, problem.formula)
    numbers = [
        NumpyMemory.threads(),
        -1 - problem.axis,
        problem.soft,
        problem.ignore_index is not None,
        problem.ignore_index or 0,
        fused_cpu.NUMBERS[name],
        parameter,
        factor,
        steps,
        1.0 / problem.temperature,
        problem.smoothing,
        problem.has_class_weight,
        problem.has_prior,
        problem.has_table,
    ]
    return np.asarray(numbers, np.float64), 0 if problem.arrays > 2 else logits.ndim + problem.axis


# ------------------------------------------------------------------------------------- their results and rules


def _of_rows(*arrays: Any, problem: Classes) -> list[Any]:
    return [abstract(shape, dtype, arrays) for shape, dtype in problem.results(arrays[0])]


def _of_tangents(*arguments: Any, problem: Classes) -> list[Any]:
    return [abstract(problem.rows(arguments[0]), problem.dtype, arguments)]


def _of_logits(*arguments: Any, problem: Classes) -> list[Any]:
    return [abstract(arguments[0].shape, arguments[0].dtype, arguments)]


def _differentiate_losses(
    arrays: Sequence[Array], dots: Sequence[Any], *, problem: Classes
) -> tuple[Sequence[Array], Sequence[Any]]:
    keeping = replace(problem, keeps=problem.kernel.kept > 0)
    losses, *kept = LOSSES.bind(*arrays, problem=keeping)
    found = tangents_by_formula(_losses, arrays, [ad.Zero(jax.typeof(arrays[0])), *dots[1:]], problem)
    dot = None if found is None else found[0]
    if type(dots[0]) is not ad.Zero:
        (by_logits,) = TANGENTS.bind(*same_axes([*arrays, *kept, dots[0]]), problem=keeping)
        dot = by_logits if dot is None else by_logits + dot
    results = [losses, *kept] if problem.keeps else [losses]
    zeros = [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in results]
    return results, zeros if dot is None else [dot, *zeros[1:]]


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
TANGENTS = make_primitive("class_tangents", _tangents, _of_tangents, None)
PULLBACK = make_primitive("class_pullback", _pullback, _of_logits, _native_pullback)
ad.primitive_jvps[LOSSES] = _differentiate_losses
ad.primitive_jvps[TANGENTS] = partial(differentiate_linear, TANGENTS, _tangents)
ad.primitive_jvps[PULLBACK] = partial(differentiate_linear, PULLBACK, _pullback)
ad.primitive_transposes[TANGENTS] = _transpose_tangents
ad.primitive_transposes[PULLBACK] = _transpose_pullback
