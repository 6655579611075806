"""Features of PyTorch divided by their norms, in one native call each way."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory_torch import (
    CODES,
    DOUBLE,
    SINGLE,
    TorchMemory,
    are_readable,
    is_plain,
)
from crossentropy._statistics.torch.gradients import gradients

Formula = Callable[[Tensor], Tensor]


def l2_normalized(x: Tensor, formula: Formula) -> Tensor:
    """Divide the rows of `x` by their norms, those of zeros by 1; `formula` is the same by PyTorch's operations.

    That is for half precision, compilers, transforms, other devices and second derivatives.
    """
    if not (are_readable(x) and x.dtype in (SINGLE, DOUBLE)):
        return formula(x)
    if torch.is_grad_enabled() and x.requires_grad:
        result: Tensor = _Normalized.apply(x, formula)
        return result
    return _divided(x.contiguous())[0]


def _divided(x: Tensor) -> tuple[Tensor, Tensor]:
    """The quotients of contiguous rows, and their norms."""
    y, norms = torch.empty_like(x), TorchMemory.empty(tuple(x.shape[:-1]), "float64")
    _native.divide_by_norms(
        x.data_ptr(),
        CODES[x.dtype],
        norms.numel(),
        x.shape[-1],
        y.data_ptr(),
        norms.data_ptr(),
        TorchMemory.threads(),
    )
    return y, norms


class _Normalized(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, formula: Formula) -> Tensor:
        y, norms = _divided(x.contiguous())
        ctx.save_for_backward(x, norms)
        ctx.formula = formula
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, norms = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_plain(grad):
            return *gradients(lambda x: [ctx.formula(x)], [x], [True], [grad]), None
        x, g = x.contiguous(), grad.contiguous()
        result = torch.empty_like(x)
        _native.pull_from_norms(
            x.data_ptr(),
            CODES[x.dtype],
            norms.numel(),
            x.shape[-1],
            norms.data_ptr(),
            g.data_ptr(),
            result.data_ptr(),
            TorchMemory.threads(),
        )
        return result, None
