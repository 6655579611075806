"""Gradients by logits whose own derivative is known: a loss's backward pass as a Function that is differentiated."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, is_plain
from crossentropy._statistics.problem import Cotangents, Target, Transform
from crossentropy._statistics.torch.gradients import gradients

__all__ = ["Pullback", "pulled", "softmax_curvature"]


class Pullback(NamedTuple):
    """What takes an upstream gradient to the gradients of a loss by its logits, and the derivatives of that.

    ``pull(logits, upstream)`` are the gradients by each of the logits and ``along(logits, upstream, v)`` the
    derivatives of ``Σ v · gradient`` by the logits. ``formula(logits)`` is the loss with derivatives of every order.
    `axis` is what losses of rows lack; None if losses have the shape of the logits.
    """

    pull: Callable[[Sequence[Tensor], Tensor], Sequence[Tensor]]
    along: Callable[[Sequence[Tensor], Tensor, Sequence[Tensor]], Sequence[Tensor]]
    formula: Callable[[Sequence[Tensor]], Sequence[Tensor]]
    axis: int | None


def pulled(given: Pullback, logits: Sequence[Tensor], upstream: Tensor) -> tuple[Tensor, ...]:
    """Compute the gradients of a loss by its logits, times `upstream`, with derivatives of any order by both."""
    result: tuple[Tensor, ...] = _Pull.apply(given, upstream, *logits)
    return result


class _Pull(Function):
    @staticmethod
    def forward(ctx: Any, given: Pullback, upstream: Tensor, *logits: Tensor) -> tuple[Tensor, ...]:
        ctx.given = given
        ctx.save_for_backward(upstream, *logits)
        return tuple(given.pull(logits, upstream))

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Tensor | None, ...]:
        given: Pullback = ctx.given
        upstream, *logits = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:]
        plain = all(is_plain(x) and x.dtype in CODES for x in v)
        if torch.is_grad_enabled() or not plain or not is_eager_mode():
            return None, *_by_formula(given, upstream, logits, needs, v)
        by_upstream = _by_upstream(given, logits, upstream, v) if needs[0] else None
        if not any(needs[1:]):
            return None, by_upstream, *(None for _ in logits)
        found = given.along(logits, upstream, v)
        return None, by_upstream, *(x.to(z.dtype) for x, z in zip(found, logits, strict=True))


def _by_formula(
    given: Pullback, upstream: Tensor, logits: Sequence[Tensor], needs: Sequence[bool], v: Sequence[Tensor]
) -> list[Tensor | None]:
    """Differentiate ``Σ v · pullback`` with derivatives of every order."""

    def pullback(g: Tensor, *z: Tensor) -> list[Any]:
        return gradients(lambda *z: given.formula(z), z, [True] * len(z), [g])

    return gradients(pullback, [upstream, *logits], needs, v)


def _by_upstream(given: Pullback, logits: Sequence[Tensor], upstream: Tensor, v: Sequence[Tensor]) -> Tensor:
    """Differentiate ``Σ v · pullback`` by the upstream gradient: the slope of every loss along `v`."""

    def part(slope: Tensor) -> Tensor:
        if not upstream.ndim:
            return slope.sum(dtype=torch.float64)
        return slope if given.axis is None else slope.sum(given.axis, dtype=torch.float64)

    slopes = given.pull(logits, torch.ones_like(upstream))
    parts = [part(slope * x) for slope, x in zip(slopes, v, strict=True)]
    return sum(parts[1:], parts[0]).to(upstream.dtype)


def softmax_curvature(logits: Tensor, axis: int, transform: Transform, factors: Tensor, v: Tensor) -> Tensor:
    """Compute the second derivatives of ``Σ f L`` by the logits along `v`, where ``L`` is the log-partition of a row.

    `factors` are a float64 ``f`` of every row; where it is 0 the row may hold anything.
    """
    kernel = RowKernel(TorchMemory, logits, axis, Target(), transform, None)
    return kernel.curvature(Cotangents(log_partition=factors.contiguous()), v, tuple(factors.shape))[0]
