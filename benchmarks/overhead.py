"""Where the fixed price of a call goes: one row of ten classes, where there is next to nothing to compute."""

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.function import Function

import peers
from cases import logits_and_labels, sides_of
from crossentropy._kernels import _native
from crossentropy.torch import cross_entropy
from measure import Step, interleaved, timed

Price = tuple[str, float]  # what is paid for, in seconds


def prices(budget: float) -> list[Price]:
    """Ours and the peer's, and what ours is made of."""
    logits, labels = logits_and_labels("random", (1, 10), torch.float32)
    sides = sides_of(logits, labels, cross_entropy, peers.cross_entropy)
    peer = interleaved(sides, budget, 5)
    nothing = interleaved(sides_of(logits, labels, cross_entropy, _nothing), budget, 5)
    whole, least = median(peer.ours), median(nothing.peer)
    kernels = _kernel_times(sides.ours)
    rest = whole - least - sum(seconds for _, seconds in kernels)
    return [
        ("F.cross_entropy, forward and backward", median(peer.peer)),
        ("crossentropy.torch.cross_entropy, forward and backward", whole),
        ("– an autograd.Function that does nothing, forward and backward", least),
        *((f"– kernel `{name}`", seconds) for name, seconds in kernels),
        ("– the rest: arguments, checks, scratch memory", rest),
    ]


def _nothing(logits: Tensor, labels: Tensor) -> Tensor:
    return _Nothing.apply(logits)  # type: ignore[no-any-return]


class _Nothing(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.tensor(0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.empty_like(ctx.saved_tensors[0])


def _kernel_times(step: Step, repeats: int = 2000) -> list[Price]:
    """Seconds in each native function that a step calls, by calling it many times in place of once."""
    found: dict[str, float] = {}

    def prolonged(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found[name] = timed(lambda: kernel(*arguments, **options), repeats)
            return kernel(*arguments, **options)

        return call

    with ExitStack() as patches:
        for name in ("evaluate", "pullback"):
            kernel = prolonged(f"RowLoss.{name}", getattr(_native.RowLoss, name))
            patches.enter_context(patch.object(_native.RowLoss, name, kernel))
        step()
    return list(found.items())
