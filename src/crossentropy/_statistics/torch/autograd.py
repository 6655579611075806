"""The statistics of rows as an autograd Function around the kernels, and their gradients by formulas."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.cpu.memory_torch import is_plain
from crossentropy._statistics.problem import DIFFERENTIABLE, RowStatistics
from crossentropy._statistics.torch import transforms
from crossentropy._statistics.torch.gradients import by_formulas, gradients
from crossentropy._statistics.torch.kernels import backward, forward
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    cotangents,
    requested_statistics,
)


def save_for_backward(
    ctx: Any,
    settings: StaticArgs,
    tensors: TensorArgs,
    stats: RowStatistics,
    inputs: Sequence[Any],
    also: Sequence[Tensor] = (),
) -> tuple[Tensor, ...]:
    """Save a Function's inputs and statistics for its backward pass, and return its outputs.

    `also` are further outputs, which have no gradient and are not saved.
    """
    statistics = {name: getattr(stats, name) for name in requested_statistics(settings, tensors)}
    ctx.settings = settings
    ctx.save_for_backward(*inputs, *statistics.values())
    ctx.mark_non_differentiable(*(x for name, x in statistics.items() if name not in DIFFERENTIABLE), *also)
    ctx.set_materialize_grads(False)
    return (*statistics.values(), *also)


def needs_autodiff(grads: Sequence[Tensor | None]) -> bool:
    """Tell whether the formulas have to compute a gradient.

    The backward kernels serve no gradient that is itself differentiated (``create_graph=True``), and no batch of
    upstream gradients.
    """
    batched = not all(g is None or is_plain(g, g.device.type) for g in grads)
    return torch.is_grad_enabled() or batched


class _RowStatistics(Function):
    """The statistics of rows by the kernels, differentiable with respect to the LEARNABLE tensors."""

    @staticmethod
    def forward(ctx: Any, settings: StaticArgs, *inputs: Any) -> tuple[Tensor, ...]:
        tensors = TensorArgs(*inputs)
        return save_for_backward(ctx, settings, tensors, forward(settings, tensors), inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, saved = ctx.settings, ctx.saved_tensors
        tensors = TensorArgs(*saved[: len(TensorArgs._fields)])
        names = requested_statistics(settings, tensors)
        others = (None,) * (len(TensorArgs._fields) - LEARNABLE)
        needs = ctx.needs_input_grad[1 : 1 + LEARNABLE]
        if needs_autodiff(grads):
            plain = all(g is None or is_plain(g, "cpu") for g in grads)
            if plain and needs[0] and not any(needs[1:]) and transforms.transforms_serve(settings, tensors):
                stats = saved[len(TensorArgs._fields) :]
                by_logits = transforms.pullback(settings, tensors, stats, names, grads)
                return (None, by_logits, *[None] * (LEARNABLE - 1), *others)

            def value(*learnable: Any) -> list[Any]:
                return by_formulas(settings, TensorArgs(*learnable, *tensors[LEARNABLE:]), names, grads)

            return (None, *gradients(value, tensors[:LEARNABLE], needs, grads), *others)
        stats = as_statistics(saved[len(TensorArgs._fields) :], settings, tensors)
        upstream = cotangents(names, grads)
        return (None, *backward(settings, tensors, stats, upstream, needs), *others)
