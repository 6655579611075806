"""The products of a linear head, to the same bits wherever a row lies and however many lie beside it.

In float32, on a processor with vectors of 512 bits, they are a kernel of our own, in which every entry is one sum in
one order. All others are PyTorch's. What these make of a row depends on how many there are and on where they begin, so
there rows come in blocks of one height, filled up with zeros, and begin alike.
"""

import torch
from torch import Tensor

from crossentropy.kernels import _native
from crossentropy.statistics._memory_torch import TorchMemory
from crossentropy.statistics.blocks import slices, up

# Entries after which rows begin alike in a line of the cache. Where they do not, a product may round rows differently.
ALIGNED = 16
WIDE = _native.has_wide_vectors()
PIECE = 2048  # rows of a product in half precision that are still in the cache when they are added in float32


def write_product(out: Tensor, x: Tensor, y: Tensor, *, add: bool = False) -> None:
    """``out = x y``, or ``out += x y``, in its first rows, which have no gaps; those below may become anything."""
    if _is_ours(out, x, y):
        _product(out, x, y, add=add)
    elif add:
        out.addmm_(_aligned(_filled(x, out.shape[0])), y)
    else:
        torch.mm(_aligned(_filled(x, out.shape[0])), y, out=out)


def add_product(total: Tensor, x: Tensor, y: Tensor, height: int | None = None) -> None:
    """``total += x y`` in its first rows, which have no gaps, in the dtype of the total.

    With a `height` those of PyTorch are made of so many rows at a time, and the total has a multiple of them.
    """
    if _is_ours(total, x, y):
        _product(total, x, y, add=True)
    elif height is None:
        _add(total, x, y)
    else:
        for block in slices(x.shape[0], height):
            _add(total[block.start : block.start + height], _filled(x[block], height), y)


def _is_ours(out: Tensor, x: Tensor, y: Tensor) -> bool:
    return WIDE and out.dtype == x.dtype == y.dtype == torch.float32 and out.device.type == "cpu"


def _product(out: Tensor, x: Tensor, y: Tensor, *, add: bool) -> None:
    _native.product(
        x.data_ptr(),
        x.stride(0),
        x.stride(1),
        y.data_ptr(),
        y.stride(0),
        y.stride(1),
        out.data_ptr(),
        out.stride(0),
        x.shape[0],
        y.shape[1],
        y.shape[0],
        add,
        TorchMemory.threads(),
    )


def _add(total: Tensor, x: Tensor, y: Tensor) -> None:
    if x.dtype == total.dtype:
        total.addmm_(x, y)
    elif total.is_cuda:  # where the product itself adds in float32
        torch.addmm(total, x, y, out_dtype=total.dtype, out=total)
    else:
        product = x.new_empty(min(PIECE, x.shape[0]), y.shape[1])
        widened = torch.empty_like(product, dtype=total.dtype)
        for piece in slices(x.shape[0], PIECE):
            n = piece.stop - piece.start
            torch.mm(x[piece], y, out=product[:n])
            total[piece] += widened[:n].copy_(product[:n])


def _filled(x: Tensor, height: int) -> Tensor:
    """`x` with rows of zeros below it, `height` in all."""
    missing = height - x.shape[0]
    return torch.cat([x, x.new_zeros(missing, x.shape[1])]) if missing else x


def _aligned(x: Tensor) -> Tensor:
    """`x`, copied if need be, with rows that begin alike."""
    if x.stride(0) % ALIGNED == 0:
        return x
    copy = x.new_empty(x.shape[0], up(x.shape[1], ALIGNED))[:, : x.shape[1]]
    return copy.copy_(x)
