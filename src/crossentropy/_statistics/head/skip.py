"""Skip tiles of the vocabulary in which every non-target class is too unlikely to matter to the gradient.

The gradient of a non-target class is its probability times the row's upstream gradient. Where no row of a block gives
any non-target class of a tile a probability above a bound, only the labels' entries are computed there, and the logits
of the tile are not recomputed.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import entries_of
from crossentropy._statistics.problem import Cotangents, RowStatistics
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs


def tile_maxima(settings: StaticArgs, tensors: TensorArgs, z: Tensor, tiles: Sequence[slice]) -> Tensor:
    """Compute the largest non-target ``u`` of every row in every tile, shape (rows, tiles), −∞ in ignored rows.

    `z` is overwritten at the labels.
    """
    z[entries_of(tensors.indices, z.shape[1])] = -math.inf
    T = settings.temperature if tensors.temperature is None else tensors.temperature
    T = T[:, None] if isinstance(T, Tensor) and T.ndim else T
    if tensors.logit_bias is None:
        largest = torch.cat([z[:, tile].amax(1, keepdim=True) for tile in tiles], dim=1).double() / T
    else:
        b = tensors.logit_bias
        largest = torch.cat(
            [(z[:, tile] / T + b[tile]).amax(1, keepdim=True) for tile in tiles], dim=1
        ).double()
    return (
        largest
        if settings.ignore_index is None
        else largest.masked_fill((tensors.indices == settings.ignore_index)[:, None], -math.inf)
    )


def tiles_below(tile_maxima: Sequence[Tensor], log_partition: Tensor, bound: float) -> list[list[bool]]:
    """Tell for every block and tile whether each `p` there is at most `bound`, from the blocks' `tile_maxima`."""
    L = log_partition[:, None].split([len(block) for block in tile_maxima])
    most = [(block - l).amax(0) for block, l in zip(tile_maxima, L, strict=True)]
    return [(log_p < math.log(bound)).tolist() for log_p in most]


def add_targets(
    settings: StaticArgs,
    sums: HeadGradients,
    first: int,
    tensors: TensorArgs,
    stats: RowStatistics,
    upstream: Cotangents,
    width: int,
) -> None:
    """Add the contribution of the labels in a tile of `width` classes, for a block that begins at row `first`.

    Their entries of ``dz`` are ``(p g_L − g_D)/temperature``, which the statistics give without the logits.
    """
    labeled, labels = entries_of(tensors.indices, width)
    du = torch.zeros(len(labeled), dtype=torch.float64, device=labeled.device)
    if upstream.log_odds is not None:
        du -= upstream.log_odds[labeled]
    if upstream.log_partition is not None:
        du += torch.sigmoid(-stats.log_odds[labeled]) * upstream.log_partition[labeled]
    T = tensors.temperature
    if T is None:
        du /= settings.temperature
    else:
        du /= T[labeled] if T.ndim else T
    sums.add_entries(first + labeled, labels, du)
