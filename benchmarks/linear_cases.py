"""The rows of the speed contract on a linear head: hidden states, a weight, and a loss of their product."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

import crossentropy as ce
import peers
from case import Case
from measure import Sides, Step

N, D, V = 2048, 1024, 65536
SMALL = 64 << 20  # bytes; less than the float32 sums of a weight gradient, so that logits are made twice


class Head(NamedTuple):
    """A linear head and what it is to say."""

    hidden: Tensor  # (N, D), a leaf
    weight: Tensor  # (V, D), a leaf
    labels: Tensor  # (N,)

    @property
    def gradient_bytes(self) -> int:
        """Of hidden states and weight."""
        return self.hidden.nbytes + self.weight.nbytes

    def clear(self) -> None:
        """Drop the gradients."""
        self.hidden.grad = self.weight.grad = None


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@lru_cache(maxsize=1)
def random_head(rows: int, features: int, classes: int, dtype: torch.dtype) -> Head:
    """Normal numbers, of a size that makes logits of about 1."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.empty(rows, features).normal_(generator=generator)
    weight = torch.empty(classes, features).normal_(std=features**-0.5, generator=generator)
    labels = torch.randint(classes, (rows,), generator=generator)
    return Head(hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), labels)


@lru_cache(maxsize=1)
def peaky_head(rows: int, features: int, classes: int, dtype: torch.dtype) -> Head:
    """A head that is sure of every label: hidden states are 24 times the label's row, and noise.

    A label's logit is about 24, the others' are normal numbers of about 0.9, so that none of some million is likelier
    than 1e-6. One row of a block that is not sure is enough for nothing to be left out of the block.
    """
    _, weight, labels = random_head(rows, features, classes, torch.float32)
    noise = torch.empty(rows, features).normal_(generator=torch.Generator().manual_seed(1))
    weight = weight.detach()
    hidden = 24 * weight[labels] + 0.5 * noise
    return Head(hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), labels)


def step_of(head: Head, loss: Loss) -> Step:
    """A step of training, with fresh memory for the gradients."""

    def step() -> Tensor:
        head.clear()
        value = loss(*head)
        value.backward()
        return value.detach()

    return step


def ours(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """By the faster strategy."""
    return ce.linear_cross_entropy(hidden, weight, labels)


def ours_small(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """By the leaner one, which makes the logits once more."""
    return ce.linear_cross_entropy(hidden, weight, labels, memory_budget=SMALL)


def ours_least(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """In as little memory as can be."""
    return ce.linear_cross_entropy(hidden, weight, labels, memory_budget=0)


def ours_skipping(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """So too, and without the products of gradients that are next to nothing."""
    return ce.linear_cross_entropy(hidden, weight, labels, memory_budget=0, skip_below=1e-6)


def linear_cases() -> list[Case]:
    """Every row, those of the same head next to one another."""
    whole = ("F.linear_cross_entropy", peers.linear_cross_entropy)
    chunked = ("F.linear_cross_entropy, chunked", peers.chunked_linear_cross_entropy)
    least = ("memory_budget=0, ours", ours_least)
    half = torch.bfloat16
    return [
        _case("linear head", torch.float32, ours, *whole, speedup=1 / 0.75, extra=1 / 6),
        _case("linear head", torch.float32, ours, *chunked, speedup=2, turns=2),
        _case("linear head", half, ours, *whole, speedup=1, extra=1 / 2),
        _case("linear head in 64 MiB", half, ours_small, *whole, speedup=1 / 1.35, extra=1 / 6),
        # The chunked loss is a sum in bfloat16 over 64 blocks.
        _case("linear head", half, ours, *chunked, speedup=5, turns=2, tolerance=1e-1),
        _case("linear head, skip_below=1e-6", half, ours_skipping, *least, speedup=1.6, values="peaky"),
    ]


def _case(
    work: str,
    dtype: torch.dtype,
    loss: Loss,
    peer: str,
    peer_loss: Loss,
    *,
    speedup: float,
    extra: float | None = None,
    values: str = "random",
    turns: int = 3,
    tolerance: float = 2e-2,
) -> Case:
    def build() -> Sides:
        head = (peaky_head if values == "peaky" else random_head)(N, D, V, dtype)
        return Sides(step_of(head, loss), step_of(head, peer_loss), head.clear)

    return Case(
        work=f"{work}, fwd+bwd {(N, D, V)}",
        peer=peer,
        dtype=str(dtype).removeprefix("torch."),
        values=values,
        nbytes=(N + V) * D * dtype.itemsize,
        speedup=speedup,
        build=build,
        extra=extra,
        passes=0,
        tolerance=tolerance if dtype == torch.bfloat16 else 1e-4,
        turns=turns,
    )
