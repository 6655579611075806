"""Cosines of PyTorch tensors as a function of its autograd, with derivatives of every order."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_exporting, is_nested_forward_mode
from crossentropy._statistics.cosines import formulas
from crossentropy._statistics.torch.functions import applied
from crossentropy._statistics.torch.gradients import gradients


def serves() -> bool:
    """Tell whether the function can be used: compilers and exporters record plain operations."""
    return not (torch.compiler.is_compiling() or is_exporting() or is_nested_forward_mode())


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """The cosines of the rows of two matrices."""
    found: Tensor = applied(_Cosines, x, y)
    return found


class _Cosines(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor) -> Tensor:
        return formulas.cosines(x, y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, y = ctx.saved_tensors
        by_x, by_y = ctx.needs_input_grad
        if torch._C._functorch.is_legacy_batchedtensor(grad):  # `is_grads_batched`, of few operations
            of_x, of_y = gradients(lambda x, y: [formulas.plain(x, y)], (x, y), (by_x, by_y), [grad])
            return of_x, of_y
        return (
            formulas.pulled_back(x, y, grad) if by_x else None,
            formulas.pulled_back(y, x, grad.mT) if by_y else None,
        )

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dy: Tensor | None) -> Tensor:
        x, y = ctx.saved_tensors
        return formulas.tangents(
            x, y, torch.zeros_like(x) if dx is None else dx, torch.zeros_like(y) if dy is None else dy
        )
