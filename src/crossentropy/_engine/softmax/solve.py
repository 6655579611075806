"""The one way from logits and labels to a softmax loss: a checked problem, and whoever computes it."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from crossentropy._backends import Array, is_numpy, is_taped, is_torch
from crossentropy._backends.tape import Taped, node, plain
from crossentropy._engine.softmax import evaluate, fused_cpu
from crossentropy._engine.softmax.arithmetic import on_host
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels

ARITHMETIC = on_host(NumpyMemory)


def torch_loss() -> Callable[[SoftmaxProblem], Array]:
    """The loss of tensors, whose module is imported with the first one."""
    from crossentropy._engine.softmax.autograd import loss

    return loss


known_torch_loss = cache(torch_loss)  # in eager mode alone, for `torch.compile` warns of every cache


def softmax_loss(logits: Array, labels: Any, **options: Any) -> Array:
    """The loss of logits and labels under the options of `crossentropy.softmax_cross_entropy`."""
    return solve(make_problem(logits, labels, checks_sets=False, warns=True, **options))


def solve(problem: SoftmaxProblem) -> Array:
    """The loss of a problem, by the way that fits its arrays; the problem may have no logits afterwards."""
    logits = problem.logits
    if problem.tensors is not None:
        return known_torch_loss()(problem)
    if is_torch(logits):
        return torch_loss()(problem)
    if problem.formula is not None and not fused_cpu.serves(problem):
        fused_cpu.check_unread(problem)
        return problem.formula.composition(problem)
    # `loss_and_gradient` differentiates by an option as well: each step of the composition is on its tape.
    if problem.is_taped_beside_logits:
        fused_cpu.check_unread(problem)
        return loss_by_autodiff(problem.with_logits(Taped(logits)) if is_numpy(logits) else problem)
    # It differentiates by the logits alone: the kernels have that gradient, and the loss is one step of the tape.
    if is_taped(logits) and is_for_kernels(plain(logits)):
        value, gradient = _numpy_loss(problem.with_logits(plain(logits)))
        return node(value, (logits, gradient))
    # JAX and other libraries of the standard, which differentiate the composition, and what no kernel reads.
    if not (is_numpy(logits) and is_for_kernels(logits)):
        fused_cpu.check_unread(problem)
        return loss_by_autodiff(problem)
    return _numpy_loss(problem)[0]


def _numpy_loss(problem: SoftmaxProblem) -> tuple[Array, Callable[[Array], Array]]:
    """The loss, and what takes the gradient by it to that by the logits."""
    import numpy

    # Soft targets and links in Python have no native object.
    compute: Callable[..., Any] = partial(evaluate.evaluate, ARITHMETIC)
    differentiate: Callable[..., Array] = partial(evaluate.gradient, ARITHMETIC)
    if fused_cpu.serves(problem):
        compute = partial(fused_cpu.evaluate, NumpyMemory)
        differentiate = partial(fused_cpu.gradient, NumpyMemory)
    else:
        fused_cpu.check_unread(problem)

    @numpy.errstate(all="ignore")  # a link's infinities are results, as the kernels' are
    def pull(upstream: Array) -> Array:
        return differentiate(problem, problem.logits, found, upstream if upstream.ndim else float(upstream))

    with numpy.errstate(all="ignore"):
        found = compute(problem)
    dtype = problem.loss_dtype
    value = dtype(found.value) if isinstance(found.value, float) else found.value.astype(dtype)
    return value, pull
