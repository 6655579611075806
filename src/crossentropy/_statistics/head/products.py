"""The matrix products of a linear head, and the layout of their operands in memory.

In float32, on a processor with 512-bit vectors, they are a native kernel in which every entry is one sum in one order.
All others are PyTorch's. The bits of a row of PyTorch's products depend on the number of rows and on their alignment,
so there all blocks have one height, padded with rows of zeros, and all rows one alignment.

A library may read past the end of a row. With bfloat16 on Intel's AMX, oneDNN reads the left operand in pieces of 32
entries along the sum; the last piece includes the memory behind the row, times 0, and 0 · NaN is NaN. So a library gets

- on the left, contiguous rows whose length is a multiple of `ALIGNED`, or rows padded with zeros to such a multiple:
  those of `strided_rows`, or a copy;
- on the right, memory without gaps.

No other module calls a library's product of PyTorch tensors.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.nn import Parameter
from torch.nn.functional import pad

from crossentropy._backends.modes import is_eager_mode
from crossentropy._kernels import _native
from crossentropy._statistics.blocks import ALIGNED, round_up, slices
from crossentropy._statistics.cpu.memory_torch import TorchMemory
from crossentropy._statistics.torch.functions import applied

WIDE = _native.has_wide_vectors()
PIECE = 2048  # rows of a half-precision product, few enough to be in the cache when they are added in float32


def padded_stride(width: int) -> int:
    """Choose the stride of rows of logits, in entries: an odd multiple of 64, at least `width`.

    Rows a power of two apart, such as those of 65536 classes, share the same few sets of a cache, and a product that
    reads or writes them is slower by up to a quarter.

    >>> padded_stride(65536), padded_stride(50000)
    (65600, 50112)
    """
    return ALIGNED * (round_up(width, ALIGNED) // ALIGNED | 1)


def strided_rows(memory: Tensor, height: int, width: int) -> Tensor:
    """View `memory` as `height` rows of `width` entries, a padded stride apart, with zeros between them."""
    rows = memory[: height * padded_stride(width)].view(height, padded_stride(width))
    rows[:, width:] = 0
    return rows[:, :width]


def aligned_copy(x: Tensor, rows: Tensor) -> Tensor:
    """Copy `x` into `rows`, which has a padded stride, unless it lies there already."""
    return x if x.data_ptr() == rows.data_ptr() and x.stride() == rows.stride() else rows.copy_(x)


def write_product(out: Tensor, x: Tensor, y: Tensor, *, add: bool = False) -> None:
    """Write ``x y`` to the first rows of `out`, or add it to them; the rows below are undefined afterwards."""
    if _native_gemm_serves(out, x, y):
        _product(out, x, y, add=add)
        return
    x, y = _left(x, out.shape[0]), _without_gaps(y)
    if add:
        out.addmm_(x, y)
    else:
        torch.mm(x, y, out=out)


def add_product(total: Tensor, dz: Tensor, y: Tensor, height: int) -> None:
    """Add ``dz y`` to the first rows of `total`, in its dtype; `dz` has a padded stride (`strided_rows`).

    PyTorch's products take `height` rows at a time, and `total` has a multiple of `height` rows.
    """
    if _native_gemm_serves(total, dz, y):
        _product(total, dz, y, add=True)
        return
    y = _without_gaps(y)
    for block in slices(dz.shape[0], height):
        rows = dz[block] if block.stop - block.start == height else _with_zeros(dz[block], height)
        _add(total[block.start : block.start + height], rows, y)


def add_transposed_product(total: Tensor, dz: Tensor, y: Tensor) -> None:
    """Add ``dzᵀ y`` to `total`, in its dtype; `dz` has a padded stride (`strided_rows`)."""
    if _native_gemm_serves(total, dz, y):
        _product(total, dz.T, y, add=True)
    else:
        _add(total, dz.T, _without_gaps(y))


def product(x: Tensor, y: Tensor) -> Tensor:
    """Multiply two matrices, or two stacks of equally many, differentiably."""
    # Compilers and tracers lay out memory themselves, and the layout of a batched or wrapped tensor cannot be seen.
    if (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state()
        or not (_has_memory(x) and _has_memory(y))
    ):
        return x @ y
    if is_eager_mode() and not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
        return _of_library(x, y)
    result: Tensor = applied(_Product, x, y)
    return result


def _of_library(x: Tensor, y: Tensor) -> Tensor:
    return _left(x, x.shape[-2]) @ _without_gaps(y)


def _has_memory(x: Tensor) -> bool:
    """Tell whether `x` is a tensor whose strides describe its memory."""
    return type(x) in (Tensor, Parameter) and not torch._C._functorch.is_legacy_batchedtensor(x)


class _Product(Function):
    """A matrix product on padded operands whose derivatives are such products as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return _of_library(x, y)

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


def _native_gemm_serves(out: Tensor, x: Tensor, y: Tensor) -> bool:
    """Tell whether the native product serves: float32 throughout, on a CPU with 512-bit vectors."""
    return WIDE and out.dtype == x.dtype == y.dtype == torch.float32 and out.device.type == "cpu"


def _product(out: Tensor, x: Tensor, y: Tensor, *, add: bool) -> None:
    """Write ``x y`` to `out`, or add it, by the native kernel; operands may have any strides."""
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
    """Add ``x y`` to `total`, which may have a wider dtype, by PyTorch's product."""
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
    """Pad `x` where needed for the left of a library's product, with rows of zeros up to `height`."""
    whole = x.shape[-2] == height
    if whole and (_is_dense(x.mT) or (_is_dense(x) and x.shape[-1] % ALIGNED == 0)):
        return x
    return _with_zeros(x, height)


def _with_zeros(x: Tensor, height: int) -> Tensor:
    """Copy `x` with zeros behind every row, up to a multiple of `ALIGNED`, and rows of zeros up to `height`."""
    n, k = x.shape[-2:]
    if height == 0:  # which `pad` does not take in PyTorch 2.6
        return x
    return pad(x, (0, round_up(k, ALIGNED) - k, 0, height - n))[..., :k]


def _without_gaps(x: Tensor) -> Tensor:
    """Return `x`, copied if there are gaps between its rows."""
    return x if _is_dense(x) or _is_dense(x.mT) else x.clone(memory_format=torch.contiguous_format)


def _is_dense(x: Tensor) -> bool:
    """Tell whether `x` has contiguous strides, those of axes of length 1 too: a library reads the strides alone."""
    if x.ndim == 2:
        return x.stride() == (x.shape[1], 1)
    step = 1
    for size, stride in zip(reversed(x.shape), reversed(x.stride()), strict=True):
        if stride != step:
            return False
        step *= size
    return True
