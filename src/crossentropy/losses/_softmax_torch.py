"""Softmax losses of PyTorch tensors.

Eager losses whose gradient goes to the logits alone take one autograd Function from logits to loss, since a chain of
small operations costs more than the kernels at small sizes. Everything else is the composition, which PyTorch
differentiates: gradients to other inputs, functional transforms, compilation, other devices. A second derivative of
the Function is the composition's.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.links import Link
from crossentropy.losses._softmax_composed import composed
from crossentropy.losses._softmax_eager import Evaluation, evaluate, gradient
from crossentropy.losses._softmax_problem import SoftmaxProblem
from crossentropy.statistics._memory_torch import TorchMemory, is_plain
from crossentropy.statistics._torch import kernels_apply
from crossentropy.statistics.native import lay_out


def loss(problem: SoftmaxProblem) -> Tensor:
    """The loss of `problem`, differentiable."""
    logits = problem.logits
    others = other_inputs(problem)
    if problem.acts_per_class or not kernels_apply(logits, *tensors_of(problem)):
        return composed(problem)
    if not torch.is_grad_enabled():
        return _rounded(evaluate(problem, TorchMemory).value, logits)
    if any(isinstance(x, Tensor) and x.requires_grad for x in (*others, problem.normalizer)):
        return composed(problem)
    if link_learns(problem):
        return composed(problem)
    if not logits.requires_grad:
        return _rounded(evaluate(problem, TorchMemory).value, logits)
    return _SoftmaxLoss.apply(logits, problem)


def tensors_of(problem: SoftmaxProblem) -> list[Tensor]:
    """What of the problem, besides the logits and what the link holds, is a tensor."""
    target = problem.target
    fixed = (target.indices, target.mask, problem.class_weight, problem.smoothing_prior)
    return [x for x in (*other_inputs(problem), *fixed, problem.normalizer) if isinstance(x, Tensor)]


def other_inputs(problem: SoftmaxProblem) -> tuple[Any, ...]:
    """What may have a gradient besides the logits."""
    transform = problem.transform
    return (
        problem.target.dense,
        problem.masses,
        problem.sample_weight,
        transform.temperature,
        transform.logit_bias,
        transform.margin,
    )


def link_learns(problem: SoftmaxProblem) -> bool:
    """Whether what the link makes of a constant has a gradient, which then is that of a tensor the link holds."""
    link = problem.link
    if holds_numbers_alone(link):
        return False
    shape = problem.rows if problem.masses is None else tuple(problem.masses.shape)
    return bool(link.loss(torch.zeros(shape, dtype=torch.float64)).requires_grad)


def _rounded(value: Any, logits: Tensor) -> Tensor:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return value.to(dtype) if isinstance(value, Tensor) else torch.tensor(value, dtype=dtype)


def holds_numbers_alone(link: Link) -> bool:
    """Whether the link is one of ours without tensors and functions, so that it treats all rows alike."""
    return type(link).__module__.startswith("crossentropy.") and not any(
        isinstance(x, Tensor) or callable(x) for x in vars(link).values()
    )


class _SoftmaxLoss(Function):
    """``row_loss``: statistics, then the link's loss and slope, with no graph in between."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, problem: SoftmaxProblem) -> Tensor:
        found = evaluate(problem, TorchMemory)
        value = _rounded(found.value, logits)
        found.value = None
        # Held by autograd as well, which sees if they are changed before the backward pass.
        target = problem.target
        others = (
            *(target.indices, target.mask, problem.class_weight),
            *other_inputs(problem),
            *getattr(problem.link, "__dict__", {}).values(),
        )
        ctx.save_for_backward(logits, *(x for x in others if isinstance(x, Tensor)))
        problem.logits = None
        ctx.problem, ctx.found = problem, found
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        logits = ctx.saved_tensors[0]
        problem: SoftmaxProblem = replace(ctx.problem, logits=logits)
        found: Evaluation = ctx.found
        if torch.is_grad_enabled() or not is_plain(grad):
            return gradient_by_formulas(problem, grad), None
        upstream = grad.double() if grad.ndim else float(grad)
        x = lay_out(TorchMemory, logits, problem.axis).array
        into = gradient_memory(ctx, logits, x, problem.inplace)
        return gradient(problem, found, upstream, TorchMemory, into), None


def gradient_by_formulas(problem: SoftmaxProblem, grad: Tensor) -> Tensor:
    """The gradient by the logits from the composition, with a graph of its own where one is asked for."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        value = composed(problem, reference=True)
        return torch.autograd.grad(value, problem.logits, grad, create_graph=create_graph)[0]


def gradient_memory(ctx: Any, logits: Tensor, laid_out: Tensor, inplace: bool) -> Tensor:
    """Where a gradient is written: fresh memory, or once, if that is allowed, over the logits."""
    if not inplace or laid_out is not logits:
        return TorchMemory.empty_like(laid_out)
    if getattr(ctx, "spent", False):
        raise RuntimeError(
            "the logits of this loss were overwritten by their gradient (inplace=True); "
            "for a second backward pass leave inplace out"
        )
    ctx.spent = True
    over = logits.detach()
    torch.autograd.graph.increment_version(logits)
    return over
