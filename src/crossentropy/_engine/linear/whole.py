"""Linear heads of arrays that have neither kernels nor transformations of their own: the logits are made whole."""

from dataclasses import replace

from crossentropy._backends import Array
from crossentropy._engine.linear.problem import LinearProblem
from crossentropy._engine.softmax.autodiff import composed, find_statistics
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Planes, Wanted
from crossentropy._statistics.products import product


def loss(given: LinearProblem, memory_budget: int | None) -> Array:
    """The loss of a linear head; no budget changes what it takes."""
    value = composed(_with_logits(given))
    return given.shaped(value) if given.problem.reduction == "none" else value


def planes(given: LinearProblem, wanted: Wanted) -> Planes:
    """The statistics of its rows."""
    return find_statistics(replace(_with_logits(given), wanted=wanted))


def _with_logits(given: LinearProblem) -> SoftmaxProblem:
    z = product(given.hidden, given.weight.T)
    if given.low_rank is not None:
        down, up = given.low_rank
        z = z + product(product(given.hidden, down.T), up.T)
    return replace(given.problem, logits=z if given.bias is None else z + given.bias)
