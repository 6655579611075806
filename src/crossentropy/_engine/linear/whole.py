"""Linear heads without blocks: all the logits at once.

They serve long double, NumPy options that learn, other libraries, and machines without the compiled kernels.
"""

from dataclasses import replace

from crossentropy._backends import Array
from crossentropy._backends.tape import Taped, gradient_of
from crossentropy._engine.linear.problem import LinearGradients, LinearProblem
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.products import product


def loss(linear: LinearProblem, memory_budget: int | None) -> Array:
    """Compute the loss of a linear head: 0-d, or with reduction "none" in the shape of the rows; no budget applies."""
    value = loss_by_autodiff(_with_logits(linear))
    return linear.unflatten_rows(value) if linear.problem.reduction == "none" else value


def loss_and_gradients(linear: LinearProblem) -> tuple[Array, LinearGradients]:
    """Compute the loss of NumPy arrays and its gradients with respect to the head, by the tape of NumPy."""
    import numpy

    hidden, weight = Taped(linear.hidden), Taped(linear.weight)
    bias = None if linear.bias is None else Taped(linear.bias)
    factors = None if linear.low_rank is None else (Taped(linear.low_rank[0]), Taped(linear.low_rank[1]))
    taped = replace(linear, hidden=hidden, weight=weight, bias=bias, low_rank=factors)
    with numpy.errstate(all="ignore"):  # infinities are valid results, as they are in the kernels
        value = loss(taped, None)
        gradients = LinearGradients(
            gradient_of(value, hidden),
            gradient_of(value, weight),
            None if bias is None else gradient_of(value, bias),
            None if factors is None else (gradient_of(value, factors[0]), gradient_of(value, factors[1])),
        )
    return value.value, gradients


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
