"""Gradients with respect to a linear head, accumulated over tiles of classes and blocks of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crossentropy._statistics.blocks import round_up, slices
from crossentropy._statistics.cpu.memory_torch import large
from crossentropy._statistics.head.head import LINE, Head, entries_of
from crossentropy._statistics.head.products import add_product, add_transposed_product


class HeadGradients:
    """Accumulators of a head's gradients from ``dz``, that of the logits: ``dz M`` of x, ``dzᵀ x`` of M, ``Σ dz``.

    All are summed in float32 or wider. The gradients of x are summed over tiles of classes, those of M over blocks of
    rows: call `begin` for a tile, `add` for each of its blocks, then `weights`, before the next tile.

    The label's entry of ``dz`` is about as large as all others of its row together; added early, it would make every
    later addition round to its size. So, on the CPU, it is kept out of the products and its contribution is added last.

    Parameters
    ----------
    head : Head
    needs : sequence of bool
        For every factor, and last for the bias, whether its gradient is computed.
    height : int
        Rows in a block; the last block is padded with rows of zeros.
    """

    def __init__(self, head: Head, needs: Sequence[bool], height: int) -> None:
        self.head, self.height = head, height
        padded = round_up(head.rows, height)
        self.by_x = [
            _zeros(padded, round_up(x.shape[1], LINE), x)[:, : x.shape[1]] if need else None
            for (x, _), need in zip(head.pairs, needs[:-1:2], strict=True)
        ]
        self.needs_M = needs[1:-1:2]
        self.by_M: list[Tensor | None] = []
        self.entries: list[tuple[Tensor, Tensor, Tensor]] = []  # rows, classes, dz
        device = head.factors[0].device
        self.by_bias = torch.zeros(head.classes, dtype=torch.float64, device=device) if needs[-1] else None

    def begin(self, classes: slice) -> None:
        """Start the tile of `classes` with gradients of 0 for its rows of each M."""
        self.classes, self.begun = classes, len(self.entries)
        self.by_M = [
            _zeros(classes.stop - classes.start, M.shape[1], M) if need else None
            for (_, M), need in zip(self.head.pairs, self.needs_M, strict=True)
        ]

    def add(self, rows: slice, dz: Tensor, labels: Tensor | None = None) -> None:
        """Add the contribution of the tile's `dz`, shape (rows, classes of the tile), in memory of `Head.room`.

        With one label a row, `dz` is set to 0 at the `labels`, which count from the tile's first class.
        """
        if not len(dz):
            return
        # On a device the host would have to wait to learn which rows have their label in this tile.
        if labels is not None and dz.device.type == "cpu":
            at = entries_of(labels, dz.shape[1])
            self.add_entries(rows.start + at[0], at[1], dz[at])
            dz[at] = 0
        for (x, M), by_x, by_M in zip(self.head.pairs, self.by_x, self.by_M, strict=True):
            if by_x is not None:
                add_product(by_x[rows.start :], dz, M[self.classes], self.height)
            if by_M is not None:
                add_transposed_product(by_M, dz, x[rows])
        if self.by_bias is not None:
            self.by_bias[self.classes] += dz.sum(0, dtype=torch.float64)

    def add_entries(self, rows: Tensor, classes: Tensor, dz: Tensor) -> None:
        """Add the contribution of single entries of ``dz``, at most one a row; `classes` count within the tile."""
        classes = classes + self.classes.start
        for piece in slices(len(rows), self.height):
            self.entries.append((rows[piece], classes[piece], dz[piece]))
        if self.by_bias is not None:
            self.by_bias.index_add_(0, classes, dz.double())

    def hidden(self, scale: float | Tensor = 1.0) -> list[Tensor | None]:
        """Return the gradients with respect to each x, times `scale`; call once, for the sums are changed in-place."""
        for (_, M), by_x in zip(self.head.pairs, self.by_x, strict=True):
            if by_x is not None:
                for rows, classes, dz in self.entries:
                    by_x[rows] += dz.to(by_x.dtype)[:, None] * M[classes]
        N = self.head.rows
        return [None if d is None else _rounded(d[:N], scale, self.head).contiguous() for d in self.by_x]

    def weights(self, scale: float | Tensor = 1.0) -> list[Tensor | None]:
        """Return the gradients with respect to the tile's rows of each M, times `scale`; call once a tile."""
        for (x, _), by_M in zip(self.head.pairs, self.by_M, strict=True):
            if by_M is not None:
                for rows, classes, dz in self.entries[self.begun :]:
                    by_M.index_add_(0, classes - self.classes.start, dz.to(by_M.dtype)[:, None] * x[rows])
        return [None if d is None else _rounded(d, scale, self.head) for d in self.by_M]

    def bias(self, scale: float | Tensor = 1.0) -> Tensor | None:
        """Return the gradient with respect to the bias, times `scale`."""
        return None if self.by_bias is None else _rounded(self.by_bias, scale, self.head)

    def of_one_tile(self, scale: float | Tensor = 1.0) -> list[Tensor | None]:
        """Return the gradients with respect to the factors and the bias, if one tile held all the classes."""
        pairs = zip(self.hidden(scale), self.weights(scale), strict=True)
        return [*(d for pair in pairs for d in pair), self.bias(scale)]


def _zeros(rows: int, columns: int, like: Tensor) -> Tensor:
    """Allocate an accumulator of zeros, in float32 or wider."""
    return large((rows, columns), torch.promote_types(like.dtype, torch.float32), like.device).zero_()


def _rounded(total: Tensor, scale: float | Tensor, head: Head) -> Tensor:
    """Scale an accumulator in-place and round it to the head's dtype."""
    if isinstance(scale, Tensor) or scale != 1:
        total = total.mul_(scale)
    return total.to(head.dtype)
