"""The one way from a checked sigmoid problem to its loss."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crossentropy._backends import Array, is_jax, is_numpy, is_taped, is_torch, loss_dtype
from crossentropy._backends.tape import Taped, node, plain
from crossentropy._engine.sigmoid import cpu
from crossentropy._engine.sigmoid.formula import reference_gradient, reference_loss
from crossentropy._engine.sigmoid.problem import Problem, make_problem
from crossentropy._statistics.cpu.memory import NumpyMemory


def sigmoid_loss(logits: Array, labels: Any, **options: Any) -> Array:
    """The loss of logits and labels under the options of `crossentropy.sigmoid_cross_entropy`."""
    problem = make_problem(logits, labels, **options)
    logits = problem.logits
    # Autograd needs a Function around the kernels, and devices have kernels of their own.
    if is_torch(logits):
        from crossentropy._engine.sigmoid import autograd

        return autograd.loss(problem)
    # The kernel's gradient is by the logits alone: the formula is taped whole.
    if problem.is_taped_beside_logits:
        return reference_loss(replace(problem, logits=Taped(logits)) if is_numpy(logits) else problem)
    if is_taped(logits):
        value, gradient = _numpy_loss(replace(problem, logits=plain(logits)))
        return node(value, (logits, gradient))
    if is_jax(logits):
        from crossentropy._engine.sigmoid import jax_elements

        return reference_loss(problem, jax_elements.losses)
    # Other libraries differentiate the formula themselves.
    return _numpy_loss(problem)[0] if is_numpy(logits) else reference_loss(problem)


def _numpy_loss(problem: Problem) -> tuple[Array, Callable[[Array], Array]]:
    """The loss of NumPy arrays, and what takes the gradient by it to that by the logits."""
    # A link of another kind, long double, or a divisor for every element.
    if not cpu.is_supported(problem):
        return reference_loss(problem), lambda upstream: reference_gradient(problem, upstream)
    value, divisor = cpu.evaluate(problem, NumpyMemory)
    dtype = loss_dtype(problem.logits)

    def gradient(upstream: Array) -> Array:
        return cpu.gradient(problem, upstream.astype(dtype), divisor, NumpyMemory)

    return value, gradient
