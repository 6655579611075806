"""Tiles of a vocabulary in which no class is likely enough for its gradient to be worth the products.

The gradient of a class off target is its probability times what its row's loss is worth. Where a block of rows gives
no class of a tile more than a bound, all but the labels' entries are left out there, and the logits are not made again.
"""

import math

import torch
from torch import Tensor

from crossentropy.statistics._head_torch import HeadGradients
from crossentropy.statistics._torch import Settings, Tensors
from crossentropy.statistics.problem import Cotangents, Planes


def log_peaks(
    settings: Settings, tensors: Tensors, planes: Planes, z: Tensor, tiles: list[slice]
) -> list[float]:
    """The largest ``log p`` off target of any row of a block, in every tile; `z` is overwritten at the targets."""
    y, V = tensors.indices.to(torch.int64), z.shape[1]
    left_out = (y < 0) | (y >= V)
    z.scatter_(1, torch.where(left_out, 0, y)[:, None], -math.inf)
    T = settings.temperature if tensors.temperature is None else tensors.temperature
    T = T[:, None] if isinstance(T, Tensor) and T.ndim else T
    found = []
    for classes in tiles:
        u = z[:, classes] if tensors.logit_bias is None else z[:, classes] / T + tensors.logit_bias[classes]
        top = u.amax(1, keepdim=True).double()
        top = top / T if tensors.logit_bias is None else top
        log_p = (top[:, 0] - planes.log_partition).masked_fill(left_out, -math.inf)
        found.append(float(log_p.amax()))
    return found


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
    y = tensors.indices
    own = ((y >= 0) & (y < width)).nonzero()[:, 0]
    du = torch.zeros(len(own), dtype=torch.float64)
    if upstream.log_odds is not None:
        du -= upstream.log_odds[own]
    if upstream.log_partition is not None:
        du += torch.sigmoid(-planes.log_odds[own]) * upstream.log_partition[own]
    T = tensors.temperature
    if T is None:
        du /= settings.temperature
    else:
        du /= T[own] if T.ndim else T
    sums.add_entries(first + own, y[own], du)
