"""The choice of how the statistics of PyTorch tensors are computed: operator, formulas, Function or kernel."""

import torch
from torch import Tensor

from crossentropy._backends.modes import is_compiling
from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.memory_torch import CODES
from crossentropy._statistics.problem import Planes, Prior, Target, Transform, Wanted
from crossentropy._statistics.torch.autograd import _RowStatistics
from crossentropy._statistics.torch.kernels import forward, own_kernels_apply
from crossentropy._statistics.torch.problem import LEARNABLE, named, split

__all__ = ["statistics"]


def statistics(
    logits: Tensor,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
    idle: Tensor | None,
) -> Planes:
    """Compute the target statistics of every row along `axis`."""
    settings, tensors = split(logits, axis, target, transform, prior, wanted, validate)
    # `torch.compile` cannot trace a kernel called by address: a custom operator carries it through the graph.
    if is_compiling() and logits.device.type in ("cpu", "cuda") and logits.dtype in CODES:
        from crossentropy._statistics.torch import operator

        return named(operator.statistics(settings, tensors), settings, tensors)
    # Functional transforms, forward-mode autodiff, tracers, tensor subclasses, other devices and dtypes: the formulas,
    # which PyTorch differentiates operation by operation.
    if not own_kernels_apply(*tensors):
        return formulas.statistics(
            logits, axis, target, transform, prior, wanted, validate=validate, idle=idle
        )
    # A gradient is needed: one node around the kernels. Else the kernel alone, which saves nothing for a backward pass.
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors[:LEARNABLE]):
        return named(_RowStatistics.apply(settings, *tensors), settings, tensors)
    return forward(settings, tensors)
