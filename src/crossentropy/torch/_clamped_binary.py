"""torch's binary cross-entropy of probabilities: logarithms clamped at −100, slopes at 1e12."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.nn.functional import binary_cross_entropy

from crossentropy._backends.modes import is_compiling, is_exporting, is_legacy_onnx_export
from crossentropy._statistics.torch.functions import applied


def clamped_binary_cross_entropy(p: Tensor, t: Tensor) -> Tensor:
    """Compute the loss of every element in nats, in float32 or wider."""
    wide = torch.promote_types(p.dtype, torch.float32)
    p, t = p.to(wide), t.to(wide)
    if is_legacy_onnx_export():  # the older exporter, which needs no gradient
        return _formula(p, t)
    if is_exporting():  # an exported program holds no autograd Function
        return binary_cross_entropy(p, t, reduction="none")
    # Dynamo rejects a Function with a jvp.
    return _ClampedReverse.apply(p, t) if is_compiling() else applied(_Clamped, p, t)


def _formula(p: Tensor, t: Tensor) -> Tensor:
    """Compute ``−t log p − (1 − t) log(1 − p)`` with clamped logarithms."""
    log_p, log_not_p = _logarithms(p)
    return -(t * log_p + (1 - t) * log_not_p)


def _logarithms(p: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``log p`` and ``log(1 − p)``, clamped at −100."""
    return torch.clamp(torch.log(p), min=-100), torch.clamp(torch.log1p(-p), min=-100)


class _ClampedReverse(Function):
    """The loss of every element, differentiable in reverse mode alone, for `torch.compile`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(p: Tensor, t: Tensor) -> Tensor:
        return _formula(p, t)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        p, t = ctx.saved_tensors
        by_p, by_t = _slopes(p, t)
        return grad * by_p if ctx.needs_input_grad[0] else None, grad * by_t if ctx.needs_input_grad[
            1
        ] else None


def _slopes(p: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the derivatives with respect to p, its denominator clamped as in torch, and to t."""
    log_p, log_not_p = _logarithms(p)
    return (p - t) / torch.clamp(p * (1 - p), min=1e-12), log_not_p - log_p


class _Clamped(_ClampedReverse):
    """The loss of every element, differentiable in reverse and in forward mode."""

    @staticmethod
    def jvp(ctx: Any, p_tangent: Tensor | None, t_tangent: Tensor | None) -> Tensor:
        by_p, by_t = _slopes(*ctx.saved_tensors)
        by_each = [slope * x for slope, x in ((by_p, p_tangent), (by_t, t_tangent)) if x is not None]
        return by_each[0] if len(by_each) == 1 else by_each[0] + by_each[1]
