"""Linear heads without blocks: all the logits at once.

They serve long double, NumPy options that learn, other libraries, and machines without the compiled kernels.
"""

from dataclasses import replace

from crossentropy._backends import Array
from crossentropy._backends.tape import Taped, gradient_of
from crossentropy._engine.linear.problem import LinearGradients, LinearProblem
from crossentropy._engine.softmax.autodiff import find_statistics, loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.products import product


def loss(linear: LinearProblem, memory_budget: int | None) -> Array:
    """Compute the loss of a linear head: 0-d, or with reduction "none" in the shape of the rows; no budget applies."""
    value = loss_by_autodiff(_with_logits(linear))
    return linear.unflatten_rows(value) if linear.problem.reduction == "none" else value


def loss_and_gradients(linear: LinearProblem) -> tuple[Array, LinearGradients]:
    """Compute the loss of NumPy arrays and its gradients with respect to the head, by the tape of NumPy."""
    import numpy

    given = (linear.hidden, linear.weight, linear.bias, *(linear.low_rank or (None, None)))
    roots = [None if x is None else Taped(x) for x in given]
    hidden, weight, bias, *low_rank = roots
    taped = replace(
        linear, hidden=hidden, weight=weight, bias=bias, low_rank=linear.low_rank and tuple(low_rank)
    )
    with numpy.errstate(all="ignore"):  # infinities are valid results, as they are in the kernels
        value = loss(taped, None)
        by = [None if x is None else gradient_of(value, x) for x in roots]
    return value.value, LinearGradients(*by[:3], None if linear.low_rank is None else (by[3], by[4]))


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
