"""The sigmoid loss for PyTorch.

Eager CPU tensors take one autograd Function over the native kernel. Whatever that cannot do (function
transforms, forward-mode differentiation, compilation, other devices and links, labels or sample weights that
need a gradient) takes the reference formula, and so does the derivative of the Function's own derivative.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.backends import loss_dtype
from crossentropy.kernels import _native
from crossentropy.losses import _sigmoid_native as native
from crossentropy.losses._sigmoid_problem import Options, Problem
from crossentropy.losses._sigmoid_reference import reference_loss
from crossentropy.statistics._memory_torch import is_plain, large, runs_plainly


def loss(problem: Problem) -> Tensor:
    """The reduced loss of tensors."""
    logits, labels, sample_weight = problem.logits, problem.labels, problem.sample_weight
    if (
        runs_plainly()
        and is_plain(logits)
        and is_plain(labels)
        and not labels.requires_grad
        and (sample_weight is None or (is_plain(sample_weight) and not sample_weight.requires_grad))
        and not getattr(problem.options.normalizer, "requires_grad", False)
        and native.is_supported(problem)
    ):
        return _SigmoidLoss.apply(logits, labels, sample_weight, problem.options)
    return reference_loss(problem)


class _SigmoidLoss(Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, sample_weight: Tensor | None, options: Options
    ) -> Tensor:
        ctx.save_for_backward(logits, labels, sample_weight)
        ctx.options = options
        problem = _contiguous(logits, labels, sample_weight, options)
        kernel = native.kernel_problem(problem, Tensor.data_ptr)
        dtype = loss_dtype(logits)
        if options.reduction == "none":
            losses = torch.empty(logits.shape, dtype=dtype)
            _, ctx.divisor = native.run_forward(problem, kernel, losses.data_ptr(), torch.get_num_threads())
            return losses
        value, ctx.divisor = native.run_forward(problem, kernel, 0, torch.get_num_threads())
        return torch.scalar_tensor(value, dtype=dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        logits, labels, sample_weight = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_plain(grad):
            return _differentiable_gradient(ctx, grad), None, None, None
        problem = _contiguous(logits, labels, sample_weight, ctx.options)
        kernel = native.kernel_problem(problem, Tensor.data_ptr)
        gradient = large(logits.shape, logits.dtype)
        upstream = grad.contiguous() if ctx.options.reduction == "none" else None
        _native.sigmoid_gradient(
            kernel,
            1.0 if upstream is not None else grad.item() / ctx.divisor,
            0 if upstream is None else upstream.data_ptr(),
            gradient.data_ptr(),
            torch.get_num_threads(),
        )
        return gradient, None, None, None


def _contiguous(logits: Tensor, labels: Tensor, sample_weight: Tensor | None, options: Options) -> Problem:
    if sample_weight is not None:
        sample_weight = sample_weight.contiguous()
    return Problem(logits.contiguous(), labels.contiguous(), sample_weight, options)


def _differentiable_gradient(ctx: Any, grad: Tensor) -> Tensor:
    logits, labels, sample_weight = ctx.saved_tensors
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        value = reference_loss(Problem(logits, labels, sample_weight, ctx.options))
        return torch.autograd.grad(value, logits, grad, create_graph=create_graph)[0]
