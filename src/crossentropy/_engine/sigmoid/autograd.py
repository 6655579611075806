"""The sigmoid loss for PyTorch.

Eager tensors take one autograd Function over the kernels of their device, native on the CPU and Triton's on a GPU.
Whatever those cannot do (function transforms, forward-mode differentiation, compilation, other devices and links,
labels or sample weights that need a gradient) takes the reference formula, and so does the derivative of the
Function's own derivative.
"""

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends import loss_dtype
from crossentropy._engine.sigmoid import cpu as native
from crossentropy._engine.sigmoid.formula import reference_loss
from crossentropy._engine.sigmoid.problem import Options, Problem
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory_torch import CPU, is_plain, large, rounded, runs_plainly


class Kernels(Protocol):
    """Loss and gradient of tensors on one device."""

    def loss(self, problem: Problem) -> tuple[Tensor, Any]:
        """The reduced loss, and what its gradient is divided by."""

    def gradient(self, problem: Problem, upstream: Tensor, divisor: Any) -> Tensor:
        """By the logits."""


def kernels(device: torch.device) -> Kernels | None:
    """Those for tensors on `device`, if there are any."""
    if device.type == "cpu":
        return NativeKernels()
    if device.type == "cuda":
        from crossentropy._engine.sigmoid import cuda

        return cuda
    return None


def loss(problem: Problem) -> Tensor:
    """The reduced loss of tensors."""
    logits, labels, sample_weight = problem.logits, problem.labels, problem.sample_weight
    device = logits.device
    if (
        runs_plainly()
        and is_plain(logits, device.type)
        and _is_constant(labels, device)
        and (sample_weight is None or _is_constant(sample_weight, device))
        and not any(getattr(x, "requires_grad", False) for x in _numbers(problem.options))
        and native.is_supported(problem)
        and (device_kernels := kernels(device)) is not None
    ):
        return _SigmoidLoss.apply(logits, labels, sample_weight, problem.options, device_kernels)
    return reference_loss(problem)


def _numbers(options: Options) -> tuple[Any, ...]:
    """Options that are numbers, or tensors of one, which may have a gradient."""
    return options.normalizer, options.label_smoothing, options.negative_shift


def _is_constant(x: Tensor, device: torch.device) -> bool:
    return is_plain(x, device.type) and x.device == device and not x.requires_grad


class _SigmoidLoss(Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        sample_weight: Tensor | None,
        options: Options,
        device_kernels: Kernels,
    ) -> Tensor:
        ctx.save_for_backward(logits, labels, sample_weight)
        ctx.options, ctx.kernels = options, device_kernels
        value, ctx.divisor = device_kernels.loss(Problem(logits, labels, sample_weight, options))
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        logits, labels, sample_weight = ctx.saved_tensors
        problem = Problem(logits, labels, sample_weight, ctx.options)
        if torch.is_grad_enabled() or not is_plain(grad, logits.device.type):
            return _differentiable_gradient(problem, grad), None, None, None, None
        return ctx.kernels.gradient(problem, grad, ctx.divisor), None, None, None, None


class NativeKernels:
    """On the CPU."""

    def loss(self, problem: Problem) -> tuple[Tensor, float]:
        problem = _contiguous(problem)
        kernel = native.kernel_problem(problem, Tensor.data_ptr)
        dtype = loss_dtype(problem.logits)
        if problem.options.reduction == "none":
            losses = torch.empty(problem.logits.shape, dtype=dtype, device=CPU)
            _, divisor = native.run_forward(problem, kernel, losses.data_ptr(), torch.get_num_threads())
            return losses, divisor
        value, divisor = native.run_forward(problem, kernel, 0, torch.get_num_threads())
        return rounded(value, dtype), divisor

    def gradient(self, problem: Problem, upstream: Tensor, divisor: float) -> Tensor:
        problem = _contiguous(problem)
        kernel = native.kernel_problem(problem, Tensor.data_ptr)
        result = large(problem.logits.shape, problem.logits.dtype)
        each = upstream.contiguous() if problem.options.reduction == "none" else None
        _native.sigmoid_gradient(
            kernel,
            1.0 if each is not None else upstream.item() / divisor,
            0 if each is None else each.data_ptr(),
            result.data_ptr(),
            torch.get_num_threads(),
        )
        return result


def _contiguous(problem: Problem) -> Problem:
    sample_weight = problem.sample_weight
    return Problem(
        problem.logits.contiguous(),
        problem.labels.contiguous(),
        None if sample_weight is None else sample_weight.contiguous(),
        problem.options,
    )


def _differentiable_gradient(problem: Problem, grad: Tensor) -> Tensor:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        value = reference_loss(problem)
        return torch.autograd.grad(value, problem.logits, grad, create_graph=create_graph)[0]
