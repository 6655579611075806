"""The statistics of a linear head as an autograd Function of its factors and bias."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.passes import backward, forward
from crossentropy._statistics.head.skip import tiles_below
from crossentropy._statistics.torch.autograd import needs_autodiff, save_for_backward
from crossentropy._statistics.torch.gradients import by_formulas, gradients
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
        if needs_autodiff(grads):

            def value(*learnable: Any) -> list[Any]:
                head, others = unpack_inputs(count, [*learnable, *tensors[LEARNABLE:]])
                return by_formulas(settings, others._replace(logits=head.whole()), names, grads)

            of_inputs = gradients(value, saved[: count + LEARNABLE], requested[: count + LEARNABLE], grads)
        else:
            stats = as_statistics(saved[size:], settings, tensors)
            upstream = cotangents(names, grads)
            found = backward(settings, head, tensors, stats, upstream, needs, needs_others, ctx.skipped)
            of_inputs = [*found.factors, found.bias, *found.others]
        return (None, None, None, *of_inputs, *(None,) * (len(TensorArgs._fields) - LEARNABLE))


def unpack_inputs(count: int, inputs: Sequence[Any]) -> tuple[Head, TensorArgs]:
    """Unpack a Function's inputs into the head and the tensors of the row problem, whose logits are None."""
    return Head(tuple(inputs[:count]), inputs[count]), TensorArgs(None, *inputs[count + 1 :])
