"""The statistics of the rows of a softmax problem, differentiable in any framework."""

from crossentropy._backends import is_torch
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import weightless_rows, zero_weight_rows
from crossentropy._statistics import RowStatistics, formulas, row_statistics


def find_statistics(problem: SoftmaxProblem, *, reference: bool = False) -> RowStatistics:
    """The statistics of its rows, differentiable; by formulas alone if `reference`."""
    statistics = formulas.statistics if reference else row_statistics
    # Eager kernels of PyTorch tell rows without weight by their gradients, so that a look at the labels is saved.
    by_kernels = is_torch(problem.logits) and not reference
    idle = zero_weight_rows(problem) if by_kernels else weightless_rows(problem)
    return statistics(*problem.of_rows, validate=problem.validate and not reference, idle=idle)
