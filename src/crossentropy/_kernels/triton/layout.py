"""Layouts of elementwise kernels over tensors of any strides, in as few axes as they have in common."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

AXES = 3  # number of axes that the kernels iterate over
INT32 = 2**31 - 2**16  # an index below this plus a block of elements fits in 32 bits


def on_device_of(x: Tensor) -> AbstractContextManager[Any]:
    """Make the device of `x` the current one: Triton launches there, wherever a kernel's arguments are."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


class Layout(NamedTuple):
    """Sizes of `AXES` axes, slowest first, and each tensor's strides along them; unused axes have size 1, stride 0."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def axes(self) -> int:
        """The number of axes in use."""
        return next((AXES - i for i, size in enumerate(self.sizes) if size != 1), 1)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.sizes)

    @property
    def is_small(self) -> bool:
        """Whether indices along the faster axes fit in 32 bits."""
        return max(self.sizes[1:]) < INT32


def laid_out(
    inputs: Sequence[Tensor | None], dtype: torch.dtype | None
) -> tuple[Sequence[Tensor | None], Tensor | None, Layout]:
    """Find the common axes of tensors of one shape, and of a result laid out as the first, if `dtype` is not None.

    Tensors that need more than `AXES` axes are copied. Returns the tensors, the uninitialized result, and the layout.

    >>> x = torch.zeros(4, 5, 6)
    >>> laid_out([x, x[:, :1, :].expand(4, 5, 6)], None)[2]
    Layout(sizes=(4, 5, 6), strides=((30, 6, 1), (30, 0, 1)))
    >>> laid_out([x.mT, None], torch.float32)[2]
    Layout(sizes=(1, 1, 120), strides=((0, 0, 1), (0, 0, 0), (0, 0, 1)))
    """
    first = inputs[0]
    assert first is not None
    out = [] if dtype is None else [torch.empty_like(first, dtype=dtype)]
    layout = _layout([*inputs, *out])
    if layout is None:
        inputs = [x if x is None else x.contiguous() for x in inputs]
        out = [x.contiguous() for x in out]
        layout = _layout([*inputs, *out])
        assert layout is not None
    return inputs, out[0] if out else None, layout


def _layout(tensors: Sequence[Tensor | None]) -> Layout | None:
    """Merge the axes of tensors of one shape wherever all strides allow; None if more than `AXES` remain."""
    first = tensors[0]
    assert first is not None
    order = sorted(
        (axis for axis, size in enumerate(first.shape) if size != 1), key=first.stride, reverse=True
    )
    sizes: list[int] = []
    strides: list[list[int]] = []  # by axis
    for axis in order:
        size, steps = first.shape[axis], [0 if x is None else x.stride(axis) for x in tensors]
        if sizes and strides[-1] == [size * step for step in steps]:
            sizes[-1] *= size
            strides[-1] = steps
        else:
            sizes.append(size)
            strides.append(steps)
    if len(sizes) > AXES:
        return None
    missing = AXES - len(sizes)
    by_axis = [[0] * len(tensors)] * missing + strides
    return Layout((1,) * missing + tuple(sizes), tuple(zip(*by_axis, strict=True)))
