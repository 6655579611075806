"""Linear heads without blocks (long double, NumPy options that learn, other libraries): all the logits at once."""

from dataclasses import replace

from crossentropy._backends import Array
from crossentropy._engine.linear.problem import LinearProblem
from crossentropy._engine.softmax.autodiff import find_statistics, loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.products import product


def loss(linear: LinearProblem, memory_budget: int | None) -> Array:
    """Compute the loss of a linear head: 0-d, or with reduction "none" in the shape of the rows; no budget applies."""
    value = loss_by_autodiff(_with_logits(linear))
    return linear.unflatten_rows(value) if linear.problem.reduction == "none" else value


def statistics(linear: LinearProblem, requested: Requested) -> RowStatistics:
    """Compute the statistics of a head's rows."""
    return find_statistics(replace(_with_logits(linear), requested=requested))


def _with_logits(linear: LinearProblem) -> SoftmaxProblem:
    """Compute all the logits, and put them into the softmax problem."""
    z = product(linear.hidden, linear.weight.T)
    if linear.low_rank is not None:
        down, up = linear.low_rank
        z = z + product(product(linear.hidden, down.T), up.T)
    return linear.problem.with_logits(z if linear.bias is None else z + linear.bias)
