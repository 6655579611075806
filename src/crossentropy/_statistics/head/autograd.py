"""The statistics of a linear head as an autograd Function of its factors and bias."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.passes import Gradients, backward, forward
from crossentropy._statistics.head.products import product
from crossentropy._statistics.head.skip import tiles_below
from crossentropy._statistics.torch.autograd import needs_autodiff, reference_gradients, save_for_backward
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    cotangents,
    requested_statistics,
)


class _LinearStatistics(Function):
    """The statistics with their first derivatives by blocks; second derivatives come from formulas on all logits."""

    @staticmethod
    def forward(
        ctx: Any, settings: StaticArgs, skip_below: float, count: int, *inputs: Any
    ) -> tuple[Tensor, ...]:
        head, tensors = unpack_inputs(count, inputs)
        largest: list[Tensor] | None = [] if skip_below else None
        stats = forward(settings, head, tensors, largest)
        ctx.skipped = largest and tiles_below(largest, stats.log_partition, skip_below)
        ctx.count = count
        return save_for_backward(ctx, settings, tensors, stats, inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, count, saved = ctx.settings, ctx.count, ctx.saved_tensors
        size = count + len(TensorArgs._fields)  # the factors, the bias, and all tensors except the logits
        head, tensors = unpack_inputs(count, saved[:size])
        names = requested_statistics(settings, tensors)
        requested = ctx.needs_input_grad[3 : 3 + size]
        needs, needs_others = requested[: count + 1], requested[count + 1 : count + LEARNABLE]
        # The kernels have no second derivative and take no batched gradients: there the formulas on all logits.
        if needs_autodiff(tensors, grads):
            gradients = _differentiable_gradients(settings, head, tensors, names, grads, needs)
        else:
            stats = as_statistics(saved[size:], settings, tensors)
            upstream = cotangents(names, grads)
            gradients = backward(settings, head, tensors, stats, upstream, needs, needs_others, ctx.skipped)
        rest = (None,) * (len(TensorArgs._fields) - LEARNABLE)
        return (None, None, None, *gradients.factors, gradients.bias, *gradients.others, *rest)


def unpack_inputs(count: int, inputs: Sequence[Any]) -> tuple[Head, TensorArgs]:
    """Unpack a Function's inputs into the head and the tensors of the row problem, whose logits are None."""
    return Head(tuple(inputs[:count]), inputs[count]), TensorArgs(None, *inputs[count + 1 :])


def _differentiable_gradients(
    settings: StaticArgs,
    head: Head,
    tensors: TensorArgs,
    names: Sequence[str],
    grads: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> Gradients:
    """Compute the gradients by formulas on all the logits (N, V), with a graph if one is recorded."""
    with torch.enable_grad():
        z = head.whole()
    dz, *others = reference_gradients(settings, tensors._replace(logits=z), names, grads)
    factors: list[Tensor | None] = []
    for i, (x, M) in enumerate(head.pairs):
        of_x, of_M = needs[2 * i : 2 * i + 2]
        factors += [
            product(dz, M) if of_x and dz is not None else None,
            product(dz.T, x) if of_M and dz is not None else None,
        ]
    return Gradients(factors, dz.sum(0) if needs[-1] and dz is not None else None, others)
