"""The sigmoid loss for PyTorch.

Eager tensors take one autograd Function over the kernels of their device, native on the CPU and Triton's on a GPU, and
on the CPU two of them under function transforms that differentiate. Whatever those cannot do (`vmap`, forward-mode
differentiation by dual numbers, compilation, other devices and links, labels or sample weights that need a gradient)
takes the reference formula, and so does the derivative of the gradient unless the native kernel has it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.sigmoid import cpu
from crossentropy._engine.sigmoid.formula import reference_loss
from crossentropy._engine.sigmoid.problem import Problem
from crossentropy._statistics.cpu.memory_torch import TorchMemory, is_plain
from crossentropy._statistics.torch import functional
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.second import Pullback, pulled


class Kernels(Protocol):
    """Loss and gradient of tensors on one device."""

    def loss(self, problem: Problem) -> tuple[Tensor, Any]:
        """The reduced loss, and what its gradient is divided by."""

    def gradient(self, problem: Problem, upstream: Tensor, divisor: Any) -> Tensor:
        """With respect to the logits."""


class CpuKernels:
    """The native kernels, for tensors in the CPU's memory."""

    loss = partial(cpu.evaluate, memory=TorchMemory)
    gradient = partial(cpu.gradient, memory=TorchMemory)


CPU_KERNELS = CpuKernels()


def kernels(device: torch.device) -> Kernels | None:
    """Those for tensors on `device`, if there are any."""
    if device.type == "cpu":
        return CPU_KERNELS
    if device.type == "cuda":
        from crossentropy._engine.sigmoid import cuda

        return cuda
    return None


def loss(problem: Problem) -> Tensor:
    """The reduced loss of tensors."""
    logits = problem.logits
    # A compiler, a transform or forward differentiation follows operations, not addresses.
    if is_eager_mode():
        device_kernels = kernels(logits.device)  # there are none for some devices
        if device_kernels is not None and _is_known(problem) and _is_plain(problem):
            return _SigmoidLoss.apply(logits, problem, device_kernels)
    elif functional.serves(logits) and _is_known(problem):
        native = _under_transforms(problem)
        if native is not None:
            return functional.differentiable(native, logits)
    return reference_loss(problem)


def _is_known(problem: Problem) -> bool:
    """Whether kernels have the links and types of `problem`, those of all devices the same."""
    options = problem.options
    return (
        cpu.is_supported(problem)
        and isinstance(options.label_smoothing, float)
        and isinstance(options.negative_shift, float)
    )


def _is_plain(problem: Problem) -> bool:
    """Whether all tensors are on one device, and the logits alone have a gradient."""
    device = problem.logits.device
    for x in (problem.labels, problem.sample_weight):
        if x is not None and (not is_plain(x, device.type) or x.device != device or x.requires_grad):
            return False
    return is_plain(problem.logits, device.type) and not getattr(
        problem.options.normalizer, "requires_grad", False
    )


def _under_transforms(problem: Problem) -> functional.DifferentiableLoss | None:
    """The loss as a function of the logits under transforms that differentiate; None if all else is not constant."""
    given = functional.constant(replace(problem, logits=None))
    if given is None:
        return None

    def value(z: Tensor) -> tuple[Tensor, Any]:
        return CPU_KERNELS.loss(replace(given, logits=z))

    def gradients(z: Sequence[Tensor], divisor: Any, upstream: Tensor) -> list[Tensor]:
        return [CPU_KERNELS.gradient(replace(given, logits=z[0]), upstream, divisor)]

    return functional.DifferentiableLoss(value, gradients, lambda z: _by_formula(problem, z)[0], -1)


class _SigmoidLoss(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, problem: Problem, device_kernels: Kernels) -> Tensor:
        ctx.save_for_backward(
            logits, problem.labels, problem.sample_weight, problem.positive_weight, problem.negative_weight
        )
        ctx.options, ctx.kernels = problem.options, device_kernels
        value, ctx.divisor = device_kernels.loss(problem)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Addresses are taken anew: hooks on saved tensors may have moved them (to save memory, to checkpoint).
        logits, labels, sample_weight, positive, negative = ctx.saved_tensors
        problem = Problem(logits, labels, sample_weight, positive, negative, ctx.options)
        plain = is_plain(grad, logits.device.type)
        if torch.is_grad_enabled() and plain and logits.is_cpu and is_eager_mode():
            given = Pullback(
                lambda z, g: [ctx.kernels.gradient(replace(problem, logits=z[0]), g, ctx.divisor)],
                lambda z, g, v: [_along(problem, ctx.divisor, z[0], g, v[0])],
                lambda z: _by_formula(problem, z[0]),
                None,
            )
            return *pulled(given, [logits], grad), None, None
        if torch.is_grad_enabled() or not plain:
            return *gradients(partial(_by_formula, problem), [logits], [True], [grad]), None, None
        return ctx.kernels.gradient(problem, grad, ctx.divisor), None, None


def _along(problem: Problem, divisor: Any, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """The second derivative of every element times `v` and the upstream gradient."""
    _, second = cpu.derivatives(replace(problem, logits=logits), False, TorchMemory)
    if problem.options.reduction == "none":
        return second.mul_(v).mul_(upstream)
    return second.mul_(v).mul_(float(upstream) / divisor)


def _by_formula(problem: Problem, logits: Tensor) -> list[Tensor]:
    """The loss of a problem with these logits, by the formula with derivatives of every order."""
    return [reference_loss(replace(problem, logits=logits))]
