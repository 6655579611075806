"""Softmax losses of PyTorch tensors.

Eager losses on the CPU and on CUDA whose gradient goes to the logits alone take one autograd Function from logits to
loss, since a chain of small operations costs more than the kernels at small sizes. Everything else is the composition,
which PyTorch differentiates: gradients to other inputs, functional transforms, compilation, other devices. A second
derivative of the Function is the composition's.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._engine.softmax import evaluate_cuda
from crossentropy._engine.softmax.autodiff import composed
from crossentropy._engine.softmax.evaluate import Evaluation, evaluate, gradient
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import TorchMemory, is_plain, scalar
from crossentropy._statistics.torch.kernels import own_kernels_apply
from crossentropy.links.link import holds_numbers_alone


class Engine(NamedTuple):
    """How a loss is worked out without a graph: its value, and from what was found its gradient."""

    evaluate: Callable[..., Evaluation]
    gradient: Callable[..., Tensor]


NATIVE = Engine(partial(evaluate, memory=TorchMemory), partial(gradient, memory=TorchMemory))
ON_DEVICE = Engine(evaluate_cuda.evaluate, evaluate_cuda.gradient)


def engine(*tensors: Tensor | None) -> Engine | None:
    """That of the device of the tensors, the first of which may not be None; None if formulas have to do it."""
    if not own_kernels_apply(*tensors):
        return None
    return NATIVE if tensors[0].device.type == "cpu" else ON_DEVICE  # type: ignore[union-attr]


def loss(problem: SoftmaxProblem) -> Tensor:
    """The loss of `problem`, differentiable."""
    logits = problem.logits
    others = other_inputs(problem)
    if problem.acts_per_class or (own := engine(logits, *tensors_of(problem))) is None:
        return composed(problem)
    if not torch.is_grad_enabled():
        return _rounded(own.evaluate(problem).value, logits)
    if any(isinstance(x, Tensor) and x.requires_grad for x in (*others, problem.normalizer)):
        return composed(problem)
    if link_learns(problem):
        return composed(problem)
    if not logits.requires_grad:
        return _rounded(own.evaluate(problem).value, logits)
    return _SoftmaxLoss.apply(logits, problem, own)


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
        problem.label_smoothing,
        problem.z_loss,
        problem.entropy_bonus,
    )


def link_learns(problem: SoftmaxProblem) -> bool:
    """Whether what the link makes of a constant has a gradient, which then is that of a tensor the link holds."""
    link = problem.link
    if holds_numbers_alone(link):
        return False
    shape = problem.rows if problem.masses is None else tuple(problem.masses.shape)
    return bool(
        link.loss(torch.zeros(shape, dtype=torch.float64, device=problem.logits.device)).requires_grad
    )


def _rounded(value: Any, logits: Tensor) -> Tensor:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    if isinstance(value, Tensor):
        return value.to(dtype)
    return scalar(value, dtype)


class _SoftmaxLoss(Function):
    """``row_loss``: statistics, then the link's loss and slope, with no graph in between."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, problem: SoftmaxProblem, own: Engine) -> Tensor:
        found = own.evaluate(problem)
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
        ctx.problem, ctx.found, ctx.engine = problem, found, own
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        logits = ctx.saved_tensors[0]
        problem: SoftmaxProblem = replace(ctx.problem, logits=logits)
        found: Evaluation = ctx.found
        device = logits.device.type
        if torch.is_grad_enabled() or not is_plain(grad, device):
            return gradient_by_formulas(problem, grad), None, None
        upstream = grad.double() if grad.ndim or device != "cpu" else float(grad)
        x = lay_out(TorchMemory, logits, problem.axis).array
        into = gradient_memory(ctx, logits, x, problem.inplace)
        return ctx.engine.gradient(problem, found, upstream, into=into), None, None


def gradient_by_formulas(problem: SoftmaxProblem, grad: Tensor) -> Tensor:
    """The gradient by the logits from the composition, with a graph of its own where one is asked for."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        value = composed(problem, reference=True)
        return torch.autograd.grad(value, problem.logits, grad, create_graph=create_graph)[0]


def gradient_memory(ctx: Any, logits: Tensor, laid_out: Tensor, inplace: bool) -> Tensor:
    """Where a gradient is written: fresh memory, or once, if that is allowed, over logits that lie apart."""
    if not inplace or laid_out is not logits or _share_memory(logits):
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


def _share_memory(x: Tensor) -> bool:
    """Whether elements of `x` may be the same places in memory, as those of an expanded tensor are."""
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False
