"""The products of a linear head, and what their operands have beside them in memory.

In float32, on a processor with vectors of 512 bits, they are a kernel of our own, in which every entry is one sum in
one order. All others are PyTorch's. What these make of a row depends on how many there are and on where they begin, so
there rows come in blocks of one height, filled up with zeros, and begin alike.

A library may read past the end of a row. With bfloat16 on Intel's AMX, oneDNN takes the left operand in pieces of 32
entries along the sum, the last one from whatever follows the row, times 0: and 0 · NaN is NaN. So a library is given

- on the left, rows that are a multiple of `ALIGNED` long and lie without gaps, or that have zeros behind them up to
  one: those of `rows_apart`, or a copy;
- else, memory without gaps, where nothing lies within the operand that is not of it.

No other module calls a library's product of PyTorch tensors.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.nn import Parameter
from torch.nn.functional import pad

from crossentropy._kernels import _native
from crossentropy._statistics.blocks import ALIGNED, slices, up
from crossentropy._statistics.cpu.memory_torch import TorchMemory

WIDE = _native.has_wide_vectors()
PIECE = 2048  # rows of a product in half precision that are still in the cache when they are added in float32


def apart(width: int) -> int:
    """Entries from a row of logits to the next: an odd number of 64s.

    Rows a power of two apart, as those of 65536 classes are, fall into the same few places of a cache, and a product
    that reads or writes them is slower by up to a quarter.

    Examples
    --------
    >>> apart(65536), apart(50000)
    (65600, 50112)
    """
    return ALIGNED * (up(width, ALIGNED) // ALIGNED | 1)


def rows_apart(memory: Tensor, height: int, width: int) -> Tensor:
    """`height` rows of `width` entries in `memory`, with zeros between them."""
    rows = memory[: height * apart(width)].view(height, apart(width))
    rows[:, width:] = 0
    return rows[:, :width]


def brought(x: Tensor, rows: Tensor) -> Tensor:
    """`x` where it lies if that is in `rows`, some of `rows_apart`, else written there."""
    return x if x.data_ptr() == rows.data_ptr() and x.stride() == rows.stride() else rows.copy_(x)


def write_product(out: Tensor, x: Tensor, y: Tensor, *, add: bool = False) -> None:
    """``out = x y``, or ``out += x y``, in its first rows; those below may become anything."""
    if _is_ours(out, x, y):
        _product(out, x, y, add=add)
        return
    x, y = _left(x, out.shape[0]), _without_gaps(y)
    if add:
        out.addmm_(x, y)
    else:
        torch.mm(x, y, out=out)


def add_product(total: Tensor, dz: Tensor, y: Tensor, height: int) -> None:
    """``total += dz y`` in its first rows, in the dtype of the total, where `dz` is some of `rows_apart`.

    Products that are PyTorch's are made of `height` rows at a time, and the total has a multiple of them.
    """
    if _is_ours(total, dz, y):
        _product(total, dz, y, add=True)
        return
    y = _without_gaps(y)
    for block in slices(dz.shape[0], height):
        rows = dz[block] if block.stop - block.start == height else _with_zeros(dz[block], height)
        _add(total[block.start : block.start + height], rows, y)


def add_transposed_product(total: Tensor, dz: Tensor, y: Tensor) -> None:
    """``total += dzᵀ y`` in the dtype of the total, where `dz` is some of `rows_apart`."""
    if _is_ours(total, dz, y):
        _product(total, dz.T, y, add=True)
    else:
        _add(total, dz.T, _without_gaps(y))


def product(x: Tensor, y: Tensor) -> Tensor:
    """``x y`` of two matrices, or of as many on either side, differentiable."""
    if (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state()
        or not (_has_memory(x) and _has_memory(y))
    ):
        return x @ y
    found: Tensor = _Product.apply(x, y)
    return found


def _has_memory(x: Tensor) -> bool:
    """Whether a tensor is memory whose layout can be seen."""
    return type(x) in (Tensor, Parameter) and not torch._C._functorch.is_legacy_batchedtensor(x)


class _Product(Function):
    """A product whose derivatives are such products as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return _left(x, x.shape[-2]) @ _without_gaps(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, y = ctx.saved_tensors
        of_x, of_y = ctx.needs_input_grad
        return product(grad, y.mT) if of_x else None, product(x.mT, grad) if of_y else None

    @staticmethod
    def jvp(ctx: Any, by_x: Tensor | None, by_y: Tensor | None) -> Tensor | None:
        x, y = ctx.saved_tensors
        parts = [product(a, b) for a, b in ((by_x, y), (x, by_y)) if a is not None and b is not None]
        return sum(parts[1:], parts[0]) if parts else None


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


def _left(x: Tensor, height: int) -> Tensor:
    """`x` as a library may have it on the left of a product, with rows of zeros below it, `height` in all."""
    whole = x.shape[-2] == height
    if whole and (_is_dense(x.mT) or (_is_dense(x) and x.shape[-1] % ALIGNED == 0)):
        return x
    return _with_zeros(x, height)


def _with_zeros(x: Tensor, height: int) -> Tensor:
    """A copy of `x` with zeros behind every row, up to a multiple of `ALIGNED`, and below, `height` rows in all."""
    n, k = x.shape[-2:]
    return pad(x, (0, up(k, ALIGNED) - k, 0, height - n))[..., :k]


def _without_gaps(x: Tensor) -> Tensor:
    """`x`, copied where memory that is not of it lies within it."""
    return x if _is_dense(x) or _is_dense(x.mT) else x.clone(memory_format=torch.contiguous_format)


def _is_dense(x: Tensor) -> bool:
    """Whether one row follows the other in memory; a single one has to look so, for a library sees the stride alone."""
    return x.stride() == tuple(prod(x.shape[i + 1 :]) for i in range(x.ndim))
