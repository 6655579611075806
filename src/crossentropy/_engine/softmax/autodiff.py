"""Softmax losses as a composition of differentiable steps, in any framework."""

from collections.abc import Callable

from crossentropy._backends import Array
from crossentropy._engine.reductions import reduce_rows
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import RowStatistics, row_statistics
from crossentropy._statistics import formulas as reference_statistics


def loss_by_autodiff(
    problem: SoftmaxProblem,
    *,
    reference: bool = False,
    statistics: Callable[[SoftmaxProblem], RowStatistics] | None = None,
    row_losses: Callable[[SoftmaxProblem], tuple[Array, Array]] = per_class.row_losses,
) -> Array:
    """The loss of `problem`.

    Parameters
    ----------
    problem : SoftmaxProblem
    reference : bool
        Whether to use formulas alone, which have derivatives of every order.
    statistics : callable, optional
        What gives the statistics of a problem whose logits are only a shape.
    row_losses : callable
        What gives the losses and masses of its rows where the link acts on every class.
    """
    find = statistics or (lambda problem: find_statistics(problem, reference=reference))
    if problem.acts_per_class:
        formula.check_sums(problem)
        losses, masses = row_losses(problem)
        if problem.regularizers:
            losses = losses + formula.regularizers(problem, find(problem))
    else:
        stats = find(problem)
        formula.check_sums(problem, stats.dense_total)
        losses = formula.row_losses(problem, stats)
        masses = formula.row_masses(problem, stats)
    value = reduce_rows(
        formula.weigh_rows(problem, losses),
        problem.sample_weight if masses is None else formula.weigh_rows(problem, masses),
        formula.not_ignored_rows(problem),
        reduction=problem.reduction,
        normalizer=problem.normalizer,
        empty=problem.empty,
        signed=problem.signed_weights,
    )
    return problem.xp.astype(value, problem.loss_dtype, copy=False)


def counted_rows(problem: SoftmaxProblem, losses: Array) -> Array:
    """Which rows are not ignored."""
    keep = formula.not_ignored_rows(problem)
    return problem.xp.ones_like(losses, dtype=problem.xp.bool) if keep is None else keep


def find_statistics(problem: SoftmaxProblem, *, reference: bool = False) -> RowStatistics:
    """The statistics of its rows, differentiable; by formulas alone if `reference`."""
    statistics = reference_statistics.statistics if reference else row_statistics
    return statistics(
        problem.logits,
        problem.axis,
        problem.target,
        problem.transform,
        problem.prior,
        problem.requested,
        validate=problem.validate and not reference,
        idle=formula.zero_weight_rows(problem),
    )
