"""Statistics of a linear head on a CUDA device: a forward pass that never writes logits to memory.

It serves the common case, one label a row; everything else goes by blocks of logits (`_statistics.head.passes`), and
so does every gradient, which needs the logits a second time.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from crossentropy._kernels.triton.layout import on_device_of
from crossentropy._kernels.triton.linear_statistics import join_shares, linear_statistics
from crossentropy._statistics.cuda.kernel import options
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.problem import RowStatistics
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, combine, empty_statistics


class Tile(NamedTuple):
    """Sizes of a program's products, ``rows × width`` by ``width × classes``, its warps and pipeline stages."""

    rows: int
    classes: int
    width: int
    warps: int
    stages: int


HALF = Tile(128, 128, 64, 8, 3)
TILES = {
    torch.float16: HALF,
    torch.bfloat16: HALF,
    torch.float32: Tile(64, 64, 32, 8, 3),
    torch.float64: Tile(64, 64, 16, 8, 3),
}
# The classes are split into shares, each the work of one program per block of rows. The numbers are constants and do
# not depend on the device, for a sum's bits depend on its shares: PROGRAMS gives the largest GPU several programs for
# each processor; with SHARES or more, programs that run at the same time share rows of the hidden states in the cache.
PROGRAMS = 1024
SHARES = 8
GROUP = 16  # blocks of rows whose programs run next to one another
LEAST_ROWS = 16  # fewest rows of a product by tensor cores
ENTRIES = 1024  # rows times shares that one program joins

PLANES = ("log_odds", "top", "rest", "log_partition", "L_above_top", "prior_term", "entropy", "argmax")


def serves(settings: StaticArgs, head: Head, tensors: TensorArgs) -> bool:
    """Tell whether `forward` serves this problem: one label a row, no rank requested, no low-rank update."""
    return (
        tensors.indices is not None
        and not settings.several
        and not settings.requested.rank
        and len(head.factors) == 2
        and head.dtype in TILES
    )


def shares_of(rows: int, classes: int, tile: Tile) -> tuple[int, int]:
    """Choose the number of shares and the classes in each, a multiple of the tile, from the shape alone.

    >>> shares_of(4096, 128256, HALF), shares_of(1, 1000, HALF)
    ((32, 4096), (8, 128))
    """
    tiles = max(triton.cdiv(classes, tile.classes), 1)
    asked = max(PROGRAMS // triton.cdiv(rows, tile.rows), SHARES)
    height = triton.cdiv(tiles, asked)
    return triton.cdiv(tiles, height), height * tile.classes


def forward(settings: StaticArgs, head: Head, tensors: TensorArgs) -> RowStatistics:
    """Compute the statistics, equal to those of `_statistics.head.passes.forward` up to the products' rounding.

    Nothing here waits for the device, so a label outside the classes gives NaN and no error.
    """
    hidden, weight = (_with_contiguous_rows(x.detach()) for x in head.factors)
    N, V = head.rows, head.classes
    target, transform, prior = combine(settings, tensors)
    stats = empty_statistics(target, prior is not None, settings.requested, (N,), hidden.device)
    if N == 0:
        return stats
    tile = TILES[head.dtype]
    shares, share_classes = shares_of(N, V, tile)
    common = options(target, transform, prior, hidden.dtype, hidden.device)
    of_logits = {name: common.pop(name) for name in ("softcap", "CAPPED", "WIDE")}
    common |= _empty_parts(stats, shares, hidden) | {"rows": N, "classes": V, "shares": shares}
    # Fused multiply-adds are off, so that u has the same bits as in the row kernels.
    height = max(LEAST_ROWS, min(tile.rows, triton.next_power_of_2(N)))
    across = triton.next_power_of_2(shares)
    rows_joined = min(max(1, ENTRIES // across), triton.next_power_of_2(N))
    with on_device_of(hidden):
        linear_statistics[(triton.cdiv(N, height) * shares,)](
            **common,
            hidden=hidden,
            hidden_stride=hidden.stride(0),
            weight=weight,
            weight_stride=weight.stride(0),
            head_bias=None if head.bias is None else head.bias.detach().contiguous(),
            width=hidden.shape[1],
            **of_logits,
            share_classes=share_classes,
            ROWS=height,
            CLASSES=tile.classes,
            DEPTH=tile.width,
            GROUP=GROUP,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=False,
        )
        join_shares[(triton.cdiv(N, rows_joined),)](
            **common,
            **{f"{name}_plane": getattr(stats, name) for name in PLANES},
            ROWS=rows_joined,
            SHARES=across,
            enable_fp_fusion=False,
        )
    return stats


def _with_contiguous_rows(x: Tensor) -> Tensor:
    """Return a matrix whose rows are contiguous, copied if needed."""
    return x if x.stride(1) == 1 else x.contiguous()


def _empty_parts(stats: RowStatistics, shares: int, like: Tensor) -> dict[str, Tensor | None]:
    """Allocate the partial statistics, each of shape (shares, N); None for those that `stats` does not need."""
    requested = {
        "top": True,
        "rest": True,
        "own": True,
        "moment": stats.entropy is not None,
        "depth": stats.prior_term is not None,
        "mass": stats.prior_term is not None,
        "best": stats.argmax is not None,
    }
    shape = shares, like.shape[0]
    memory = iter(torch.empty(sum(requested.values()), *shape, dtype=torch.float64, device=like.device))
    parts = {f"{name}_parts": next(memory) if here else None for name, here in requested.items()}
    place = torch.empty(shape, dtype=torch.int64, device=like.device) if requested["best"] else None
    return parts | {"place_parts": place}
