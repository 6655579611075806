"""Losses that kernels compute with their gradient, under `torch.func.grad`, `vjp`, `jvp` and compositions of these.

The loss ``L(z)`` and its pullback ``g ↦ g ∂L/∂z`` are two autograd Functions, for a transform differentiates both. The
derivatives of the pullback are those of the formula. `vmap` takes formulas, or the statistics of `transforms`.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad
from torch.autograd.function import Function

from crossentropy._backends.modes import only_differentiates
from crossentropy._kernels import COMPILED
from crossentropy._statistics.cpu.memory_torch import CODES, in_memory, innermost, is_plain

__all__ = ["DifferentiableLoss", "constant", "differentiable", "serves"]


@dataclass(eq=False)
class DifferentiableLoss:
    """A loss of tensors ``z``, all else given.

    ``value(*z)`` returns it and whatever `gradients` needs, and ``gradients(z, found, upstream)`` the gradients by each
    z, times the upstream gradient, in the shape of the loss. ``formula(*z)`` is the same loss with derivatives of every
    order. A loss of rows lacks the axis of the classes.
    """

    value: Callable[..., tuple[Tensor, Any]]
    gradients: Callable[[Sequence[Tensor], Any, Tensor], Sequence[Tensor]]
    formula: Callable[..., Tensor]
    axis: int
    found: Any = None


def serves(*tensors: Tensor) -> bool:
    """Tell whether kernels can read a loss of tensors on the CPU under the transforms that are active."""
    return (
        COMPILED
        and only_differentiates()
        and all(x.dtype in CODES and is_plain(innermost(x)) for x in tensors)
    )


def constant(x: Any) -> Any:
    """Take off the wrappers of transforms, which whatever is computed under one has.

    Parameters
    ----------
    x : Tensor, or dict or dataclass that may hold tensors, at any depth; anything else is left as it is

    Returns
    -------
    The same, or a copy; None if one of the tensors may have a derivative, or kernels cannot read it
    """
    if isinstance(x, Tensor):
        while is_functorch_wrapped_tensor(x):
            if _has_derivative(x):
                return None
            x = torch._C._functorch.get_unwrapped(x)
        return None if x.requires_grad or not is_plain(x) else x
    if isinstance(x, dict):
        parts = {name: constant(part) for name, part in x.items()}
        return None if any(parts[name] is None for name in x if x[name] is not None) else parts
    if not is_dataclass(x) or isinstance(x, type):
        return x
    result = copy(x)
    for field in fields(x):
        part = getattr(x, field.name)
        found = constant(part)
        if found is None and part is not None:
            return None
        object.__setattr__(result, field.name, found)  # of frozen ones too
    return result


def _has_derivative(x: Tensor) -> bool:
    """Tell whether a wrapped tensor may have one at its level; tangents of several levels are not looked through."""
    levels = torch._C._functorch.get_interpreter_stack()
    if x.requires_grad or all(level.key().name == "Grad" for level in levels):
        return x.requires_grad
    return len(levels) > 1 or forward_ad.unpack_dual(x).tangent is not None


def differentiable(loss: DifferentiableLoss, *tensors: Tensor) -> Tensor:
    """Compute a loss, with derivatives of any order by the tensors."""
    result: Tensor = _Loss.apply(loss, *tensors)
    return result


class _Loss(Function):
    """From tensors to their loss."""

    @staticmethod
    def forward(loss: DifferentiableLoss, *tensors: Tensor) -> Tensor:
        value, loss.found = loss.value(*tensors)
        return value

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.loss, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.like = output.shape, output.dtype, output.device

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_Pullback.apply(ctx.loss, grad, *ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, _loss: None, *tangents: Tensor | None) -> Tensor:
        shape, dtype, device = ctx.like
        one = torch.ones(shape, dtype=dtype, device=device)
        slopes = _Pullback.apply(ctx.loss, one, *ctx.saved_tensors)
        parts = []
        for slope, tangent in zip(slopes, tangents, strict=True):
            if tangent is None:
                continue
            product = slope * tangent
            if not shape:
                product = product.sum(dtype=torch.float64)
            elif product.shape != shape:
                product = product.sum(ctx.loss.axis, dtype=torch.float64)
            parts.append(product)
        return sum(parts[1:], parts[0]).to(dtype)


class _Pullback(Function):
    """From an upstream gradient and tensors to the gradients of the loss by these."""

    @staticmethod
    def forward(loss: DifferentiableLoss, upstream: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(loss.gradients(tensors, loss.found, in_memory(upstream)))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.loss, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *directions: Tensor) -> tuple[Tensor | None, ...]:
        return None, *torch.func.vjp(_pullback(ctx.loss), *ctx.saved_tensors)[1](directions)

    @staticmethod
    def jvp(ctx: Any, _loss: None, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        inputs = tuple(x.contiguous() for x in ctx.saved_tensors)  # what is expanded cannot have a tangent
        along = tuple(
            torch.zeros_like(x) if t is None else t.contiguous()
            for x, t in zip(inputs, tangents, strict=True)
        )
        found: tuple[Tensor, ...] = torch.func.jvp(_pullback(ctx.loss), inputs, along)[1]
        return found

    @staticmethod
    def vmap(
        _info: Any, in_dims: tuple[Any, ...], loss: DifferentiableLoss, *inputs: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        found: tuple[Tensor, ...] = torch.func.vmap(_pullback(loss), in_dims[1:])(*inputs)
        return found, (0,) * len(found)


def _pullback(loss: DifferentiableLoss) -> Callable[..., tuple[Tensor, ...]]:
    """The pullback by the formula, a function of the upstream gradient and the tensors."""

    def pullback(upstream: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        value, pull, *_ = torch.func.vjp(loss.formula, *tensors)
        found: tuple[Tensor, ...] = pull(upstream.to(value.dtype))
        return found

    return pullback
