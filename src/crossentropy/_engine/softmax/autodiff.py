"""Softmax losses as a composition of differentiable steps, in any framework."""

from collections.abc import Callable

from crossentropy._backends import Array, is_jax
from crossentropy._engine.reductions import reduce_rows
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._statistics import RowStatistics


def loss_by_autodiff(
    problem: SoftmaxProblem,
    *,
    statistics: Callable[[SoftmaxProblem], RowStatistics] | None = None,
    row_losses: Callable[[SoftmaxProblem], tuple[Array, Array | None]] | None = None,
) -> Array:
    """The loss of `problem`, by its own formula if it has one.

    `statistics` computes the statistics in place of `find_statistics`, and `row_losses`, where the loss acts on every
    class, the losses and masses of rows in place of the kernels and formulas here.
    """
    per_row = row_losses if problem.acts_per_class else None
    if statistics is None and row_losses is None and is_jax(problem.logits):
        from crossentropy._engine.softmax import jax_classes

        if jax_classes.serves(problem):
            per_row = jax_classes.row_losses
    if per_row is None and problem.acts_per_class:
        if problem.formula is not None:
            return problem.formula.composition(problem)
        per_row = per_class.row_losses
    losses, masses, _ = formula.weighted_losses(
        problem, statistics or find_statistics, per_row, formula.target_losses
    )
    value, _ = reduce_rows(
        losses,
        masses,
        formula.not_ignored_rows(problem),
        reduction=problem.reduction,
        normalizer=problem.normalizer,
        empty=problem.empty,
        signed=problem.signed_weights,
    )
    return problem.xp.astype(value, problem.loss_dtype, copy=False)
