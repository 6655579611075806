"""The statistics of a linear head as a function that PyTorch differentiates."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.passes import Gradients, backward, forward
from crossentropy._statistics.head.products import product
from crossentropy._statistics.head.skip import unlikely
from crossentropy._statistics.torch.autograd import keep, reference_gradients, takes_formulas
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    Settings,
    Tensors,
    cotangents,
    named,
    plane_names,
)


class _LinearStatistics(Function):
    """``statistics`` with its gradients; those of a second order are the reference formulas' on all the logits."""

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, skip_below: float, count: int, *inputs: Any
    ) -> tuple[Tensor, ...]:
        head, tensors = taken_apart(count, inputs)
        largest: list[Tensor] | None = [] if skip_below else None
        planes = forward(settings, head, tensors, largest)
        ctx.skipped = largest and unlikely(largest, planes.log_partition, skip_below)
        ctx.count = count
        return keep(ctx, settings, tensors, planes, inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, count, saved = ctx.settings, ctx.count, ctx.saved_tensors
        size = count + len(Tensors._fields)  # the factors, the bias, and the tensors but for the logits
        head, tensors = taken_apart(count, saved[:size])
        names = plane_names(settings, tensors)
        asked = ctx.needs_input_grad[3 : 3 + size]
        needs, needs_others = asked[: count + 1], asked[count + 1 : count + LEARNABLE]
        if takes_formulas(tensors, grads):
            found = _differentiable_gradients(settings, head, tensors, names, grads, needs)
        else:
            planes = named(saved[size:], settings, tensors)
            upstream = cotangents(names, grads)
            found = backward(settings, head, tensors, planes, upstream, needs, needs_others, ctx.skipped)
        rest = (None,) * (len(Tensors._fields) - LEARNABLE)
        return (None, None, None, *found.factors, found.bias, *found.others, *rest)


def taken_apart(count: int, inputs: Sequence[Any]) -> tuple[Head, Tensors]:
    """The head and the tensors, without logits, from what a Function was given."""
    return Head(tuple(inputs[:count]), inputs[count]), Tensors(None, *inputs[count + 1 :])  # type: ignore[arg-type]


def _differentiable_gradients(
    settings: Settings,
    head: Head,
    tensors: Tensors,
    names: Sequence[str],
    grads: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> Gradients:
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
