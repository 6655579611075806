"""Divergences of PyTorch tensors on the CPU: the kernel computes values and derivatives together, in one sweep.

Second derivatives are those of the formulas.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._engine.divergence.formulas import Divergence, log_probabilities
from crossentropy._engine.divergence.native import divergence_rows
from crossentropy._statistics import Transform
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, are_readable, is_plain
from crossentropy._statistics.formulas import class_last
from crossentropy._statistics.torch.gradients import gradients


def is_served(logits: Sequence[Tensor], transform: Transform, live: Tensor | None) -> bool:
    """Tell whether the kernel takes these logits: dense tensors in eager mode, a temperature without gradient."""
    return (
        are_readable(*logits, live)
        and all(z.dtype in CODES for z in logits)
        and not getattr(transform.temperature, "requires_grad", False)
    )


def of_tensors(
    divergence: Divergence, logits: Sequence[Tensor], axis: int, transform: Transform, live: Tensor | None
) -> Tensor:
    """Compute the divergence of every row of logits, in nats."""
    wanted = [z.requires_grad for z in logits]
    if torch.is_grad_enabled() and any(wanted):
        return _DivergenceRows.apply(divergence, axis, transform, live, wanted, *logits)
    return divergence_rows(TorchMemory, divergence, logits, axis, transform, live, [False] * len(logits))[0]


class _DivergenceRows(Function):
    """The divergence of every row, differentiable with respect to each of the logits."""

    @staticmethod
    def forward(
        ctx: Any,
        divergence: Divergence,
        axis: int,
        transform: Transform,
        live: Tensor | None,
        wanted: list[bool],
        *logits: Tensor,
    ) -> Tensor:
        values, slopes = divergence_rows(TorchMemory, divergence, logits, axis, transform, live, wanted)
        ctx.save_for_backward(*logits, *slopes)
        ctx.rest = divergence, axis, transform, live
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        divergence, axis, transform, live = ctx.rest
        requested = ctx.needs_input_grad[5:]
        logits, slopes = ctx.saved_tensors[: len(requested)], ctx.saved_tensors[len(requested) :]
        if torch.is_grad_enabled() or not is_plain(grad):

            def value(*logits: Tensor) -> list[Tensor]:
                logs = [log_probabilities(class_last(z, axis), transform, live) for z in logits]
                return [divergence.rows(*logs)]

            return (None,) * 5 + tuple(gradients(value, logits, requested, [grad]))
        share = grad.unsqueeze(axis)
        products = [
            torch.mul(slope, share.to(slope.dtype), out=TorchMemory.empty_like(z)) if want else None
            for z, slope, want in zip(logits, slopes, requested, strict=True)
        ]
        return (None,) * 5 + tuple(products)
