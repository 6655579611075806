"""Divergences of PyTorch tensors on the CPU: the kernel computes values and derivatives together, in one sweep.

Second derivatives are the kernel's too; those of a higher order, and under transforms, are the formulas'.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.divergence.formulas import Divergence, log_probabilities
from crossentropy._engine.divergence.native import derivatives_along, divergence_rows
from crossentropy._statistics import Transform
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, are_readable, is_plain
from crossentropy._statistics.formulas import class_last
from crossentropy._statistics.torch import functional
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.second import Pullback, pulled, softmax_curvature


def is_served(logits: Sequence[Tensor], transform: Transform, live: Tensor | None) -> bool:
    """Tell whether the kernel takes these logits: dense tensors in eager mode, a temperature without gradient."""
    return (
        are_readable(*logits, live)
        and all(z.dtype in CODES for z in logits)
        and not getattr(transform.temperature, "requires_grad", False)
    )


def of_tensors(
    divergence: Divergence, logits: Sequence[Tensor], axis: int, transform: Transform, live: Tensor | None
) -> Tensor:
    """Compute the divergence of every row of logits, in nats."""
    wanted = [z.requires_grad for z in logits]
    if torch.is_grad_enabled() and any(wanted):
        return _DivergenceRows.apply(divergence, axis, transform, live, wanted, *logits)
    return divergence_rows(TorchMemory, divergence, logits, axis, transform, live, [False] * len(logits))[0]


def under_transforms(
    divergence: Divergence, logits: Sequence[Tensor], axis: int, transform: Transform, live: Tensor | None
) -> Tensor | None:
    """The same under transforms that differentiate; None if the kernel does not serve these logits."""
    if not functional.serves(*logits) or isinstance(transform.temperature, Tensor):
        return None
    fixed = [functional.constant(z) for z in logits]
    wanted = [z is None for z in fixed]
    alive = functional.constant(live)
    if not any(wanted) or (live is not None and alive is None):
        return None
    if divergence.kind != "jensen-shannon" and wanted[1]:  # whose second logits are constant
        return None

    def whole(z: Sequence[Tensor]) -> list[Tensor]:
        each = iter(z)
        return [next(each) if x is None else x for x in fixed]

    def value(*z: Tensor) -> tuple[Tensor, Any]:
        return divergence_rows(TorchMemory, divergence, whole(z), axis, transform, alive, wanted)

    def gradients(z: Sequence[Tensor], slopes: Any, upstream: Tensor) -> list[Tensor]:
        known = [s for s in slopes if s is not None]
        return [g for g in _times_upstream(known, upstream.unsqueeze(axis), z) if g is not None]

    def formula(*z: Tensor) -> Tensor:
        return _by_formulas(divergence, whole(z), axis, transform, alive)

    loss = functional.DifferentiableLoss(value, gradients, formula, axis)
    return functional.differentiable(loss, *(z for z, want in zip(logits, wanted, strict=True) if want))


def _by_formulas(
    divergence: Divergence, logits: Sequence[Tensor], axis: int, transform: Transform, live: Tensor | None
) -> Tensor:
    return divergence.rows(*(log_probabilities(class_last(z, axis), transform, live) for z in logits))


def _times_upstream(
    slopes: Sequence[Tensor | None], share: Tensor, logits: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients by logits, in their dtype, from the slopes of the rows; None where there is no slope."""
    return [None if s is None else _times_slope(s, share, z) for s, z in zip(slopes, logits, strict=True)]


def _times_slope(slope: Tensor, share: Tensor, logits: Tensor) -> Tensor:
    return torch.mul(slope, share.to(slope.dtype), out=TorchMemory.empty_like(logits))


def _along(
    divergence: Divergence,
    logits: Sequence[Tensor],
    requested: Sequence[bool],
    axis: int,
    transform: Transform,
    live: Tensor | None,
    upstream: Tensor,
    directions: Sequence[Tensor],
) -> list[Tensor]:
    """Compute the second derivatives by the requested logits along the directions, one of each, times `upstream`."""
    upstream = upstream.double()
    if divergence.kind == "forward":  # cross-entropy of the student's logits, but for a constant
        factors = upstream if live is None else torch.where(live, upstream, 0.0)
        return [softmax_curvature(logits[0], axis, transform, factors, directions[0])]
    each = iter(directions)
    along = [next(each) if want else None for want in requested]
    found = derivatives_along(TorchMemory, divergence, logits, axis, transform, live, upstream, along)
    return [x for x in found if x is not None]


class _DivergenceRows(Function):
    """The divergence of every row, differentiable with respect to each of the logits."""

    @staticmethod
    def forward(
        ctx: Any,
        divergence: Divergence,
        axis: int,
        transform: Transform,
        live: Tensor | None,
        wanted: list[bool],
        *logits: Tensor,
    ) -> Tensor:
        values, slopes = divergence_rows(TorchMemory, divergence, logits, axis, transform, live, wanted)
        ctx.save_for_backward(*logits, *slopes)
        ctx.rest = divergence, axis, transform, live
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        divergence, axis, transform, live = ctx.rest
        requested = ctx.needs_input_grad[5:]
        logits, slopes = ctx.saved_tensors[: len(requested)], ctx.saved_tensors[len(requested) :]
        plain = is_plain(grad)

        def whole(z: Sequence[Tensor]) -> list[Tensor]:
            each = iter(z)
            return [next(each) if want else x for want, x in zip(requested, logits, strict=True)]

        def value(*z: Tensor) -> list[Tensor]:
            return [_by_formulas(divergence, whole(z), axis, transform, live)]

        if torch.is_grad_enabled() or not plain:
            learning = [x for x, want in zip(logits, requested, strict=True) if want]
            if plain and is_eager_mode():
                known = [s for s, want in zip(slopes, requested, strict=True) if want]
                given = Pullback(
                    lambda z, g: [
                        _times_slope(s, g.unsqueeze(axis), x) for s, x in zip(known, z, strict=True)
                    ],
                    lambda z, g, v: _along(divergence, whole(z), requested, axis, transform, live, g, v),
                    lambda z: value(*z),
                    axis,
                )
                found: Iterator[Tensor | None] = iter(pulled(given, learning, grad))
            else:
                found = iter(gradients(value, learning, [True] * len(learning), [grad]))
            return (None,) * 5 + tuple(next(found) if want else None for want in requested)
        needed = [slope if want else None for slope, want in zip(slopes, requested, strict=True)]
        return (None,) * 5 + tuple(_times_upstream(needed, grad.unsqueeze(axis), logits))
