"""Gradients by logits whose own derivative is known: a loss's backward pass as a Function that is differentiated."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, is_plain
from crossentropy._statistics.torch.gradients import gradients

__all__ = ["Pullback", "pulled", "softmax_curvature"]


class Pullback(NamedTuple):
    """What takes an upstream gradient to the gradient of a loss by its logits, and the derivatives of that.

    ``pull(logits, upstream)`` is the gradient and ``along(logits, upstream, v)`` its derivative by the logits along
    ``v``. ``formula(logits)`` is the loss with derivatives of every order. `axis` is what losses of rows lack; None if
    losses have the shape of the logits.
    """

    pull: Callable[[Tensor, Tensor], Tensor]
    along: Callable[[Tensor, Tensor, Tensor], Tensor]
    formula: Callable[[Tensor], Sequence[Tensor]]
    axis: int | None


def pulled(given: Pullback, logits: Tensor, upstream: Tensor) -> Tensor:
    """Compute the gradient of a loss by its logits, times `upstream`, with derivatives of any order by both."""
    result: Tensor = _Pull.apply(given, logits, upstream)
    return result


class _Pull(Function):
    @staticmethod
    def forward(ctx: Any, given: Pullback, logits: Tensor, upstream: Tensor) -> Tensor:
        ctx.given = given
        ctx.save_for_backward(logits, upstream)
        return given.pull(logits, upstream)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        given: Pullback = ctx.given
        logits, upstream = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not is_plain(v) or v.dtype not in CODES or not is_eager_mode():
            return None, *_by_formula(given, logits, upstream, needs, v)
        by_logits = given.along(logits, upstream, v).to(logits.dtype) if needs[0] else None
        return None, by_logits, _by_upstream(given, logits, upstream, v) if needs[1] else None


def _by_formula(
    given: Pullback, logits: Tensor, upstream: Tensor, needs: Sequence[bool], v: Tensor
) -> list[Tensor | None]:
    """Differentiate ``v · pullback`` with derivatives of every order."""

    def pullback(z: Tensor, g: Tensor) -> list[Any]:
        return gradients(given.formula, [z], [True], [g])

    return gradients(pullback, [logits, upstream], needs, [v])


def _by_upstream(given: Pullback, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """Differentiate ``v · pullback`` by the upstream gradient: the slope of every loss along `v`."""
    slope = given.pull(logits, torch.ones_like(upstream)) * v
    if not upstream.ndim:
        slope = slope.sum(dtype=torch.float64)
    elif given.axis is not None:
        slope = slope.sum(given.axis, dtype=torch.float64)
    return slope.to(upstream.dtype)


def softmax_curvature(
    logits: Tensor, axis: int, scale: float, bias: Tensor | None, factors: Tensor, v: Tensor
) -> Tensor:
    """Compute ``f scale² p ⊙ (v − p · v)`` of every row, with ``p`` the softmax of ``scale · z + b`` along `axis`.

    `factors` are a float64 ``f`` of every row; where it is 0 the row may hold anything.
    """
    memory = TorchMemory
    x, direction = lay_out(memory, logits, axis), lay_out(memory, v, axis)
    out = memory.empty_like(x.array)
    kept, (of_classes, of_rows) = memory.addressed((bias, factors * scale**2), ("float64", "float64"))
    _native.curvature_rows(
        x.view(memory),
        _native.Shape(x.outer, x.classes, x.inner),
        scale,
        of_classes,
        of_rows,
        direction.view(memory),
        lay_out(memory, out, axis).view(memory),
        memory.threads(),
    )
    del kept  # whose addresses were held until now
    return out
