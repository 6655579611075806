"""The choice of how the statistics of PyTorch tensors are computed: operator, formulas, Function or kernel."""

import torch
from torch import Tensor

from crossentropy._backends.modes import is_compiling
from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.memory_torch import CODES
from crossentropy._statistics.problem import Prior, Requested, RowStatistics, Target, Transform
from crossentropy._statistics.torch import transforms
from crossentropy._statistics.torch.autograd import _RowStatistics
from crossentropy._statistics.torch.kernels import forward, kernels_serve, row_kernel
from crossentropy._statistics.torch.problem import LEARNABLE, as_statistics, partition


def statistics(
    logits: Tensor,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
    idle: Tensor | None,
) -> RowStatistics:
    """Compute the target statistics of every row along `axis`."""
    settings, tensors = partition(logits, axis, target, transform, prior, requested, validate)
    # `torch.compile` cannot trace a kernel called by address: a custom operator carries it through the graph.
    if is_compiling() and row_kernel(logits.device.type) is not None and logits.dtype in CODES:
        from crossentropy._statistics.torch import operator

        return as_statistics(operator.statistics(settings, tensors), settings, tensors)
    if not kernels_serve(*tensors):
        # Functional transforms and forward-mode autodiff of rows with one label: the kernels, by Functions that these
        # transform.
        if transforms.transforms_serve(settings, tensors):
            return transforms.statistics(settings, tensors)
        # Tracers, tensor subclasses, other targets, devices and dtypes: the formulas, which PyTorch differentiates
        # operation by operation.
        return formulas.statistics(
            logits, axis, target, transform, prior, requested, validate=validate, idle=idle
        )
    # A gradient is needed: one node around the kernels. Else the kernel alone, which saves nothing for a backward pass.
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors[:LEARNABLE]):
        return as_statistics(_RowStatistics.apply(settings, *tensors), settings, tensors)
    return forward(settings, tensors)
