"""The one way from a checked softmax problem to its loss."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crossentropy._backends import is_numpy, is_taped, is_torch, loss_dtype
from crossentropy._backends.tape import Taped, node, plain
from crossentropy._engine.softmax import evaluate as _eager
from crossentropy._engine.softmax.autodiff import composed
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.warnings import warn_of_probabilities
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels

Array = Any


def softmax_loss(logits: Array, labels: Any, **options: Any) -> Array:
    """The loss of logits and labels under the options of `crossentropy.softmax_cross_entropy`."""
    problem = make_problem(logits, labels, **options)
    if problem.validate:
        warn_of_probabilities(problem.logits, problem.axis)
    return solve(problem)


def solve(problem: SoftmaxProblem) -> Array:
    """The loss of a problem, by the way that fits its arrays."""
    logits = problem.logits
    if is_torch(logits):
        from crossentropy._engine.softmax import autograd

        return autograd.loss(problem)
    if problem.is_taped_beside_logits:
        return composed(replace(problem, logits=Taped(logits)) if is_numpy(logits) else problem)
    if is_taped(logits):
        problem.logits = plain(logits)
        value, gradient = _numpy_loss(problem)
        return node(value, (logits, gradient))
    if not (is_numpy(logits) and is_for_kernels(logits)):
        return composed(problem)
    return _numpy_loss(problem)[0]


def _numpy_loss(problem: SoftmaxProblem) -> tuple[Array, Callable[[Array], Array]]:
    """The loss, and what takes the gradient by it to that by the logits."""
    import numpy

    def pull(upstream: Array) -> Array:
        return _eager.gradient(problem, found, upstream if upstream.ndim else float(upstream), NumpyMemory)

    with numpy.errstate(all="ignore"):  # a link's infinities are results, as the kernels' are
        found = _eager.evaluate(problem, NumpyMemory)
    dtype = loss_dtype(problem.logits)
    value = dtype(found.value) if isinstance(found.value, float) else found.value.astype(dtype)
    return value, pull
