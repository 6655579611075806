"""Forward and backward pass over the logits ``Σ x Mᵀ + b`` of a linear head, a block of rows at a time.

Forward, the logits of up to some hundred rows are written to a buffer, their statistics are computed, and the buffer
is used again. Backward, the logits are recomputed by tiles of classes and overwritten in-place by their gradient. The
products have the same blocks and tiles forward and backward, the last block is padded with zeros, and sums run in the
order of the tiles. Block and tile sizes depend on shape and device alone, so that where the products are our own the
bits do not depend on the memory that is free.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._statistics.blocks import round_up, slices
from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.products import aligned_copy, padded_stride, strided_rows
from crossentropy._statistics.head.skip import add_targets, tile_maxima
from crossentropy._statistics.head.tiles import (
    blocks_of_logits,
    of_classes,
    of_rows,
    rows_in_a_block,
    rows_in_a_group,
    tiles_of,
    with_total,
)
from crossentropy._statistics.problem import Cotangents, RowStatistics
from crossentropy._statistics.problem import of_rows as rows_of_planes
from crossentropy._statistics.torch import kernels as rowwise
from crossentropy._statistics.torch.problem import LEARNABLE, StaticArgs, TensorArgs, requested_statistics


def linear_kernel(device: str) -> Any:
    """Return the module with the forward kernel for heads on this type of device, None if there is none."""
    if device != "cuda":
        return None
    from crossentropy._statistics.cuda import head

    return head


def forward(
    settings: StaticArgs, head: Head, tensors: TensorArgs, largest: list[Tensor] | None = None
) -> RowStatistics:
    """Compute the statistics, block by block; `largest` gets the `tile_maxima` of every block, (rows, tiles) each."""
    # The CUDA kernel writes no logits at all, but keeps no maxima of tiles, which `largest` asks for.
    kernel = linear_kernel(head.factors[0].device.type) if largest is None else None
    if kernel is not None and kernel.serves(settings, head, tensors):
        stats: RowStatistics = kernel.forward(settings, head, tensors)
        return stats
    statistics_of_blocks, tiles = [], tiles_of(head)
    for rows, z in blocks_of_logits(head, rows_in_a_block(head)):
        block = of_rows(tensors, rows)
        statistics_of_blocks.append(rowwise.forward(settings, block._replace(logits=z)))
        if largest is not None and len(z):
            largest.append(tile_maxima(settings, block, z, tiles))
    joined: dict[str, Any] = {
        name: torch.cat([getattr(stats, name) for stats in statistics_of_blocks])
        for name in requested_statistics(settings, tensors)
    }
    return RowStatistics(**joined)


class Gradients(NamedTuple):
    """Gradients with respect to the factors, the bias, and ``tensors[1:LEARNABLE]``; None where not requested."""

    factors: list[Tensor | None]
    bias: Tensor | None
    others: list[Tensor | None]


def backward(
    settings: StaticArgs,
    head: Head,
    tensors: TensorArgs,
    stats: RowStatistics,
    upstream: Cotangents,
    needs: Sequence[bool],
    needs_others: Sequence[bool],
    skipped: Sequence[Sequence[bool]] | None = None,
    logits: Tensor | None = None,
) -> Gradients:
    """Compute the gradients from the statistics of `forward`; the logits are recomputed unless `logits` holds them.

    `needs` are flags for the head's factors and its bias, `needs_others` for ``tensors[1:LEARNABLE]``; `skipped` tells
    for every block and tile whether only the labels' entries of the gradient are computed there.
    """
    N, V = head.rows, head.classes
    height = rows_in_a_block(head)
    learning = (True, *needs_others)
    # A gradient that sums over a row's classes, such as that of its temperature, needs all of them in one tile.
    whole = any(needs_others)
    tiles = slices(V, V) if whole else tiles_of(head)
    group = height if whole or skipped else max(height, rows_in_a_group(head))
    settings, tensors = with_total(settings, tensors, V)
    sums = HeadGradients(head, needs, height)
    weights = [
        torch.empty_like(M) if need else None for (_, M), need in zip(head.pairs, needs[1:-1:2], strict=True)
    ]
    others: list[Sequence[Tensor | None]] = []
    memory = head.factors[0].new_empty(min(group, round_up(N, height)) * padded_stride(tiles[0].stop))
    for t, classes in enumerate(tiles):
        sums.begin(classes)
        width = classes.stop - classes.start
        local, tile = of_classes(settings, tensors, classes)
        for rows in slices(N, group):
            part, saved, g = of_rows(tile, rows), rows_of_planes(stats, rows), rows_of_planes(upstream, rows)
            if skipped and skipped[rows.start // height][t]:
                add_targets(local, sums, rows.start, part, saved, g, width)
                continue
            n = rows.stop - rows.start
            blocks = [slice(i, i + height) for i in range(0, n, height)]
            z = strided_rows(memory, round_up(n, height), width)
            for block in blocks:
                at = slice(rows.start + block.start, min(rows.start + block.stop, rows.stop))
                if logits is None:
                    head.write(at, classes, z[block])
                else:
                    z[block][: at.stop - at.start] = logits[at, classes]
            dz, *rest = rowwise.backward(
                local,
                part._replace(logits=z[:n]),
                saved,
                g,
                learning,
                into=None if rowwise.runs_twice(tensors, learning) else z[:n],
            )
            others.append(rest)
            if dz is not None:
                sums.add(rows, aligned_copy(dz, z[:n]), None if settings.several else part.indices)
        for into, gradient in zip(weights, sums.weights(), strict=True):
            if into is not None and gradient is not None:
                into[classes] = gradient
    factors = [d for pair in zip(sums.hidden(), weights, strict=True) for d in pair]
    names, parts = TensorArgs._fields[1:LEARNABLE], list(zip(*others, strict=True)) or [()] * (LEARNABLE - 1)
    return Gradients(
        factors, sums.bias(), [_over_rows(*x) for x in zip(names, parts, tensors[1:LEARNABLE], strict=True)]
    )


def _over_rows(name: str, parts: Sequence[Tensor | None], like: Tensor | None) -> Tensor | None:
    """Combine the gradients of blocks of rows: concatenate those with an entry per row, add the others in float64."""
    gradients = [part for part in parts if part is not None]
    if like is None or not gradients:
        return None
    if name == "dense" or (name == "temperature" and like.ndim):
        return torch.cat(gradients)
    return torch.stack(gradients).sum(0, dtype=torch.float64).to(like.dtype)
