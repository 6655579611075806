"""Divergences of large PyTorch tensors, a block of rows at a time.

The formulas make several float64 arrays of the size of the logits. Here these have the size of a block, forward and
backward, and only the logits are saved. Second derivatives are those of the formulas.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.divergence.formulas import Divergence, log_probabilities
from crossentropy._statistics import Transform
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.memory_torch import TorchMemory, is_plain
from crossentropy._statistics.torch.gradients import gradients

BLOCK = 1 << 15  # entries of a block, few enough for intermediate results to stay in the cache
LARGE = 1 << 18  # entries of the logits from which on blocks are faster


def is_served(logits: Sequence[Tensor], transform: Transform) -> bool:
    """Tell whether blocks serve these logits: large dense tensors in eager mode, and a temperature without gradient."""
    return (
        logits[0].numel() >= LARGE
        and is_eager_mode()
        and all(is_plain(z) for z in logits)
        and not getattr(transform.temperature, "requires_grad", False)
    )


def by_blocks(
    divergence: Divergence, logits: Sequence[Tensor], transform: Transform, live: Tensor | None
) -> Tensor:
    """Compute the divergence of every row of logits, class axis last, in nats."""
    rows, C = logits[0].shape[:-1], logits[0].shape[-1]
    flat = [z.reshape(-1, C) for z in logits]
    mask = None if live is None else live.reshape(-1)
    return _Blocks.apply(divergence, transform, mask, *flat).reshape(rows)


class _Blocks(Function):
    """The divergence of flattened rows, (n,), differentiable with respect to each of the logits (n, C)."""

    @staticmethod
    def forward(
        ctx: Any, divergence: Divergence, transform: Transform, live: Tensor | None, *logits: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*logits)
        ctx.rest = divergence, transform, live
        values = [divergence.rows(*logs) for _, logs in _blocks(transform, live, logits)]
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        divergence, transform, live = ctx.rest
        logits = ctx.saved_tensors
        requested = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled() or not is_plain(grad):

            def value(*logits: Tensor) -> list[Tensor]:
                return [divergence.rows(*(log_probabilities(z, transform, live) for z in logits))]

            return (None, None, None, *gradients(value, logits, requested, [grad]))
        of_logits = [
            TorchMemory.empty_like(z) if want else None for z, want in zip(logits, requested, strict=True)
        ]
        share = (grad / transform.temperature)[:, None]
        for block, logs in _blocks(transform, live, logits):
            for into, slope in zip(of_logits, divergence.slopes(*logs), strict=True):
                if into is not None and slope is not None:
                    into[block] = share[block] * slope
        return (None, None, None, *of_logits)


def _blocks(
    transform: Transform, live: Tensor | None, logits: Sequence[Tensor]
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield blocks of rows and the log-probabilities of each of the logits there."""
    n, C = logits[0].shape
    for block in slices(n, max(1, BLOCK // C)):
        mask = None if live is None else live[block, None]
        yield block, [_log_probabilities(z[block], transform.temperature, mask) for z in logits]


def _log_probabilities(z: Tensor, temperature: Any, live: Tensor | None) -> Tensor:
    """Compute log-probabilities in float64 by PyTorch, where no derivative is needed; excluded rows from zeros."""
    z = z if live is None else torch.where(live, z, 0.0)
    return torch.log_softmax(z.double() / temperature, dim=-1)
