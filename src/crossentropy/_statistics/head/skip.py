"""Tiles of a vocabulary in which no class is likely enough for its gradient to be worth the products.

The gradient of a class off target is its probability times what its row's loss is worth. Where a block of rows gives
no class of a tile more than a bound, all but the labels' entries are left out there, and the logits are not made again.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import entries_of
from crossentropy._statistics.problem import Cotangents, Planes
from crossentropy._statistics.torch.problem import Settings, Tensors


def tops(settings: Settings, tensors: Tensors, z: Tensor, tiles: Sequence[slice]) -> Tensor:
    """The largest ``u`` off target of every row in every tile, −∞ if ignored; `z` is overwritten at the targets."""
    z[entries_of(tensors.indices, z.shape[1])] = -math.inf
    T = settings.temperature if tensors.temperature is None else tensors.temperature
    T = T[:, None] if isinstance(T, Tensor) and T.ndim else T
    if tensors.logit_bias is None:
        found = torch.cat([z[:, tile].amax(1, keepdim=True) for tile in tiles], dim=1).double() / T
    else:
        b = tensors.logit_bias
        found = torch.cat(
            [(z[:, tile] / T + b[tile]).amax(1, keepdim=True) for tile in tiles], dim=1
        ).double()
    return (
        found
        if settings.ignore_index is None
        else found.masked_fill((tensors.indices == settings.ignore_index)[:, None], -math.inf)
    )


def unlikely(tops: Sequence[Tensor], log_partition: Tensor, bound: float) -> list[list[bool]]:
    """Whether no row of a block gives any class of a tile more than `bound`, from the `tops` of all blocks."""
    L = log_partition[:, None].split([len(block) for block in tops])
    most = [(block - l).amax(0) for block, l in zip(tops, L, strict=True)]
    return [(log_p < math.log(bound)).tolist() for log_p in most]


def add_targets(
    settings: Settings,
    sums: HeadGradients,
    first: int,
    tensors: Tensors,
    planes: Planes,
    upstream: Cotangents,
    width: int,
) -> None:
    """Add what the labels among a tile's classes make, of a block that begins at row `first`.

    Their entries are ``(p g_L − g_D)/temperature``, which the statistics know.
    """
    own, labels = entries_of(tensors.indices, width)
    du = torch.zeros(len(own), dtype=torch.float64, device=own.device)
    if upstream.log_odds is not None:
        du -= upstream.log_odds[own]
    if upstream.log_partition is not None:
        du += torch.sigmoid(-planes.log_odds[own]) * upstream.log_partition[own]
    T = tensors.temperature
    if T is None:
        du /= settings.temperature
    else:
        du /= T[own] if T.ndim else T
    sums.add_entries(first + own, labels, du)
