"""A linear head: its factors and bias, and the logits that they make."""

from typing import NamedTuple

import torch
from torch import Tensor

from crossentropy._statistics.cpu.memory_torch import large
from crossentropy._statistics.head.products import (
    padded_stride,
    product,
    strided_rows,
    write_product,
)

# Rows of an accumulator are padded to a multiple of this many entries: all then begin at the same place of a cache line
# (64 bytes), so that a library's product rounds every row alike.
LINE = 16


class Head(NamedTuple):
    """Logits in factored form: ``Σ xᵢ Mᵢᵀ + bias`` over the `factors` ``x₁, M₁, x₂, M₂, …``.

    A plain head has the factors ``hidden`` (N, D) and ``weight`` (V, D); one with a low-rank update has two more.
    """

    factors: tuple[Tensor, ...]
    bias: Tensor | None

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return self.factors[0].shape[0]

    @property
    def classes(self) -> int:
        """V, the number of classes."""
        return self.factors[1].shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the factors and of the logits."""
        return self.factors[0].dtype

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return the factors as pairs ``(x, M)``."""
        return list(zip(self.factors[::2], self.factors[1::2], strict=True))

    def write(self, rows: slice, classes: slice, out: Tensor) -> None:
        """Write the logits of `rows` and `classes` to the top of `out`; its rows below are undefined afterwards."""
        for i, (x, M) in enumerate(self.pairs):
            write_product(out, x[rows], M[classes].T, add=i > 0)
        if self.bias is not None:
            out.add_(self.bias[classes])

    def room(self, height: int, width: int, *, keep: bool = False) -> Tensor:
        """Allocate `height` rows of `width` logits with padded strides; `keep` takes memory that is reused."""
        size, x = height * padded_stride(width), self.factors[0]
        memory = large((size,), x.dtype, x.device) if keep else x.new_empty(size)
        return strided_rows(memory, height, width)

    def whole(self) -> Tensor:
        """Compute all the logits (N, V) at once, differentiably."""
        (x, M), *others = self.pairs
        logits = product(x, M.T)
        for x, M in others:
            logits = logits + product(x, M.T)
        return logits if self.bias is None else logits + self.bias


def entries_of(labels: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the rows whose label is in [0, width), and those labels as int64: an index of the labels' entries."""
    labels = labels.to(torch.int64)  # PyTorch compares no unsigned integers but uint8
    rows = ((labels >= 0) & (labels < width)).nonzero()[:, 0]
    return rows, labels[rows]
