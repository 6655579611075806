"""The statistics of rows of PyTorch tensors, by the way that fits them."""

import torch
from torch import Tensor

from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.memory_torch import CODES, is_compiled
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
    """Target statistics of every row along `axis`."""
    settings, tensors = split(logits, axis, target, transform, prior, wanted, validate)
    if is_compiled() and logits.device.type in ("cpu", "cuda") and logits.dtype in CODES:
        from crossentropy._statistics.torch import operator

        return named(operator.statistics(settings, tensors), settings, tensors)
    if not own_kernels_apply(*tensors):
        return formulas.statistics(
            logits, axis, target, transform, prior, wanted, validate=validate, idle=idle
        )
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors[:LEARNABLE]):
        return named(_RowStatistics.apply(settings, *tensors), settings, tensors)
    return forward(settings, tensors)
