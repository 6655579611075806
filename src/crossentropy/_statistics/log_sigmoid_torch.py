"""``log_sigmoid`` for PyTorch.

torch's own candidates lose digits or derivatives: `softplus` switches to the identity at 20, `logaddexp` has
second derivatives of NaN, those of `logsigmoid` vanish in the tail. Here the derivative is again an
exponential of a `log_sigmoid`, so every order of derivative is right.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_compiling, is_exporting, is_nested_forward_mode
from crossentropy._statistics.torch.functions import applied


def log_sigmoid(x: Tensor) -> Tensor:
    """Compute ``ln σ(x)`` in nats; see `crossentropy._statistics.log_sigmoid.log_sigmoid`."""
    if is_exporting():  # an exported program holds no autograd Function
        return _formula(x)
    if is_compiling():  # Dynamo rejects a Function with a jvp
        return _LogSigmoidReverse.apply(x)
    return _formula(x) if is_nested_forward_mode() else applied(_LogSigmoid, x)


def _formula(x: Tensor) -> Tensor:
    """Compute ``min(x, 0) − ln(1 + e^(−|x|))``; `minimum` gives each side half the derivative at 0, which is right."""
    return torch.minimum(x, torch.zeros_like(x)) - torch.log1p(torch.exp(-torch.abs(x)))


class _LogSigmoidReverse(Function):
    """``ln σ(x)`` with the derivative ``σ(−x)``, in reverse mode alone, for `torch.compile`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _formula(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.exp(log_sigmoid(-x))


class _LogSigmoid(_LogSigmoidReverse):
    """``ln σ(x)`` with derivatives in reverse and in forward mode."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return tangent * torch.exp(log_sigmoid(-x))
