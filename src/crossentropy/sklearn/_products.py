"""Matrix products whose entries do not depend on what is computed with them."""

from math import ceil, log2

import torch
from torch import Tensor

__all__ = ["exact_product"]


def exact_product(x: Tensor, weight: Tensor) -> Tensor:
    r"""Compute ``x @ weight.T`` (rows, outputs) of float64 (rows, n) and (outputs, n), each row as if it were alone.

    A library sums the terms of an entry in an order that depends on the shapes and on the place of the row, so the
    last bits of ``x @ weight.T`` do too. Here every sum is exact, so its order has no effect. A row is split into
    integers :math:`h` and :math:`l` of `p` bits, relative to the power of two :math:`s` above its largest magnitude:

    .. math:: x \approx s\,(2^{-p} h + 2^{-2p} l), \qquad n\,2^{2p} \le 2^{53}.

    The sums of :math:`h h'` and of :math:`h l' + l h'` are integers of at most :math:`2^{53}`, which float64 holds.
    What is left out is below :math:`n\,2^{1-2p} s s'`.
    """
    bits = (53 - ceil(log2(x.shape[1]))) // 2
    high, low, scale = _split(x, bits)
    weight_high, weight_low, weight_scale = _split(weight, bits)
    leading = high @ weight_high.T
    following = high @ weight_low.T + low @ weight_high.T
    return (leading + following * 2.0**-bits) * 2.0 ** (-2 * bits) * scale * weight_scale.T


def _split(values: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split rows into two integers an entry, both of `bits` bits, and a power of two a row."""
    _, exponent = torch.frexp(values.abs().amax(dim=1, keepdim=True))
    scale = torch.ldexp(torch.ones_like(values[:, :1]), exponent)
    scaled = values / scale * 2.0**bits
    high = scaled.round()
    return high, ((scaled - high) * 2.0**bits).round(), scale
