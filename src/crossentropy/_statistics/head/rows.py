"""The statistics of a linear head, by the way that fits its tensors."""

import torch
from torch import Tensor

from crossentropy._statistics.cpu.memory_torch import is_compiled
from crossentropy._statistics.head.autograd import _LinearStatistics
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.passes import forward
from crossentropy._statistics.problem import Planes
from crossentropy._statistics.torch.problem import LEARNABLE, Settings, Tensors, named


def statistics(settings: Settings, head: Head, tensors: Tensors, skip_below: float = 0.0) -> Planes:
    """Target statistics of the rows of `head`; ``tensors.logits`` is not looked at.

    With `skip_below`, which needs the log-partition and one label a row, the gradient leaves out what
    `_unlikely_torch` says, unless it is compiled.
    """
    if is_compiled():
        from crossentropy._statistics.head import operator

        return operator.statistics(settings, head, tensors)
    learning = (*head.factors, head.bias, *tensors[1:LEARNABLE])
    if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in learning):
        outputs = _LinearStatistics.apply(
            settings, skip_below, len(head.factors), *head.factors, head.bias, *tensors[1:]
        )
        return named(outputs, settings, tensors)
    return forward(settings, head, tensors)
