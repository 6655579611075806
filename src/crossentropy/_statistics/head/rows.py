"""The choice of how the statistics of a linear head are computed: compiled, with a graph, or without."""

import torch
from torch import Tensor

from crossentropy._backends.modes import is_compiling
from crossentropy._statistics.head.autograd import _LinearStatistics
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.passes import forward
from crossentropy._statistics.problem import RowStatistics
from crossentropy._statistics.torch.problem import LEARNABLE, StaticArgs, TensorArgs, as_statistics


def statistics(
    settings: StaticArgs, head: Head, tensors: TensorArgs, skip_below: float = 0.0
) -> RowStatistics:
    """Compute the target statistics of the rows of `head`; the tensors have no logits.

    With `skip_below`, a probability, the gradient skips tiles as `head.skip` describes, unless it is compiled. It needs
    the log-partition and one label a row.
    """
    # Dynamo cannot trace kernels called by address: they stand behind a custom operator, which never skips tiles.
    if is_compiling():
        from crossentropy._statistics.head import operator

        return operator.statistics(settings, head, tensors)
    # Frozen heads and `no_grad` pay for no autograd node, and the statistics are not kept for a backward pass.
    learning = (*head.factors, head.bias, *tensors[1:LEARNABLE])
    if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in learning):
        outputs = _LinearStatistics.apply(
            settings, skip_below, len(head.factors), *head.factors, head.bias, *tensors[1:]
        )
        return as_statistics(outputs, settings, tensors)
    return forward(settings, head, tensors)
