"""A linear head: the products that make logits of hidden states, and gradients of the logits' gradient."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._statistics.cpu.memory_torch import large
from crossentropy._statistics.head.products import (
    apart,
    product,
    rows_apart,
    write_product,
)

LINE = (
    16  # entries after which the rows of a sum begin alike in a line of the cache, and so are rounded alike
)


class Head(NamedTuple):
    """Logits as they are made: ``Σ x Mᵀ + bias`` over `factors`, ``x₁, M₁, x₂, M₂, …``.

    A plain head has the factors ``hidden`` (N, D) and ``weight`` (V, D); one with an update of low rank two more.
    """

    factors: tuple[Tensor, ...]
    bias: Tensor | None

    @property
    def rows(self) -> int:
        """N."""
        return self.factors[0].shape[0]

    @property
    def classes(self) -> int:
        """V."""
        return self.factors[1].shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """That of the factors and of the logits."""
        return self.factors[0].dtype

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """``(x, M)``."""
        return list(zip(self.factors[::2], self.factors[1::2], strict=True))

    def write(self, rows: slice, classes: slice, out: Tensor) -> None:
        """Write the logits of `rows` and `classes`; what `out` has below them may become anything."""
        for i, (x, M) in enumerate(self.pairs):
            write_product(out, x[rows], M[classes].T, add=i > 0)
        if self.bias is not None:
            out.add_(self.bias[classes])

    def room(self, height: int, width: int, *, keep: bool = False) -> Tensor:
        """Memory for `height` rows of `width` logits, as `rows_apart` lays them; it may be kept for the next."""
        size, x = height * apart(width), self.factors[0]
        memory = large((size,), x.dtype, x.device) if keep else x.new_empty(size)
        return rows_apart(memory, height, width)

    def whole(self) -> Tensor:
        """All the logits at once, differentiable."""
        (x, M), *others = self.pairs
        logits = product(x, M.T)
        for x, M in others:
            logits = logits + product(x, M.T)
        return logits if self.bias is None else logits + self.bias


def derivatives(
    value: Callable[[Head], Tensor],
    head: Head,
    needs: Sequence[bool],
    upstream: Tensor,
    *,
    create_graph: bool,
) -> list[Tensor | None]:
    """The gradients of a function of a head by its factors and its bias, where `needs` asks for them."""
    given = [*head.factors, head.bias]
    with torch.enable_grad():
        # Aliases, for one may be made of another: the way through that is not this function's to go.
        own = [x.view_as(x) if x is not None and need else x for x, need in zip(given, needs, strict=True)]
        factors, bias = own[:-1], own[-1]
        found = value(Head(tuple(x for x in factors if x is not None), bias))
    wanted = [x for x, need in zip(own, needs, strict=True) if x is not None and need]
    each = iter(torch.autograd.grad(found, wanted, upstream, create_graph=create_graph, allow_unused=True))
    return [next(each) if need else None for need in needs]


def entries_of(labels: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Where rows of `width` classes have their labels: the rows whose label is among the classes, and those labels."""
    rows = ((labels >= 0) & (labels < width)).nonzero()[:, 0]
    return rows, labels[rows].to(torch.int64)
