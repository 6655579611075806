"""Sums over many elements or rows in a fixed order: every program writes a partial sum, one program adds those."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from crossentropy._kernels.triton.layout import on_device_of

PROGRAMS = 4096  # most programs, for one program adds all their partial sums


class Mean(NamedTuple):
    """The divisor of a sum of losses: a number, a tensor of one entry, or None for the sum of the weights."""

    divisor: float | Tensor | None
    of_nothing: float  # the mean if the divisor is 0


def shared_out(count: int, block: int) -> tuple[int, int]:
    """Choose the number of programs for `count` elements, and the number of blocks that each takes."""
    blocks = triton.cdiv(count, block)
    each = max(triton.cdiv(blocks, PROGRAMS), 1)
    return triton.cdiv(blocks, each), each


def mean_of(partials: Tensor, mean: Mean, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Add `partials`, pairs (losses, weights) of shape (programs, 2), and return the mean and its divisor, in float64.

    The mean has `dtype`; both are 0-d.
    """
    value = torch.empty((), dtype=dtype, device=partials.device)
    used = torch.empty((), dtype=torch.float64, device=partials.device)
    divisor = mean.divisor
    with on_device_of(value):
        _mean_kernel[(1,)](
            partials,
            divisor if isinstance(divisor, Tensor) else None,
            value,
            used,
            len(partials),
            0.0 if divisor is None or isinstance(divisor, Tensor) else float(divisor),
            mean.of_nothing,
            BY_WEIGHT=divisor is None,
            PROGRAMS=triton.next_power_of_2(max(len(partials), 1)),
            enable_fp_fusion=True,
        )
    return value, used


@triton.jit
def _mean_kernel(
    partials,
    divisor,
    value,
    used,
    programs,
    number: tl.float64,
    of_nothing: tl.float64,
    BY_WEIGHT: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    """Add the partial sums (programs, 2) of losses and weights in one program, and store the mean and its divisor."""
    program = tl.arange(0, PROGRAMS)
    mask = program < programs
    loss = tl.sum(tl.load(partials + 2 * program, mask=mask, other=0.0), 0)
    if BY_WEIGHT:
        N = tl.sum(tl.load(partials + 2 * program + 1, mask=mask, other=0.0), 0)
    elif divisor is not None:
        N = tl.load(divisor).to(tl.float64)
    else:
        N = tl.full((), number, tl.float64)
    mean = tl.where(N == 0, tl.full((), of_nothing, tl.float64), loss / tl.where(N == 0, 1.0, N))
    tl.store(value, mean.to(value.dtype.element_ty))
    tl.store(used, N)
