"""Gradients by PyTorch's autograd, where no kernel has them: with a graph of their own, or for a batch of upstreams."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy._statistics import formulas
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, combine, rows_of


def gradients(
    value: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    needs: Sequence[bool],
    upstream: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Differentiate ``value(*inputs)`` with respect to the inputs that `needs` marks; None for the others.

    The gradients have a graph if one is being recorded. An output whose upstream gradient is None is left out.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases, for one input may be computed from another: the gradient must not flow through that as well.
        aliases = [
            x.view_as(x) if x is not None and need else x for x, need in zip(inputs, needs, strict=True)
        ]
        outputs = value(*aliases)
    pairs = [(x, g) for x, g in zip(outputs, upstream, strict=True) if g is not None and x.requires_grad]
    learning = [x for x, need in zip(aliases, needs, strict=True) if x is not None and need]
    each = iter(
        torch.autograd.grad(
            [x for x, _ in pairs],
            learning,
            [g for _, g in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return [next(each) if need else None for need in needs]


def by_formulas(
    settings: StaticArgs, tensors: TensorArgs, names: Sequence[str], grads: Sequence[Tensor | None]
) -> list[Any]:
    """Compute the statistics of these names by the formulas, for upstream gradients `grads`."""
    idle = _without_gradient([g for g in grads if g is not None], len(rows_of(settings, tensors.logits)))
    target, transform, prior = combine(settings, tensors)
    stats = formulas.statistics(
        tensors.logits, settings.axis, target, transform, prior, settings.requested, idle=idle
    )
    return [getattr(stats, name) for name in names]


def _without_gradient(grads: Sequence[Tensor], ndim: int) -> Tensor | None:
    """Find the rows whose upstream gradients are all 0; those of k log-odds a row have `ndim` + 1 axes.

    Returns None for the batched tensors of ``is_grads_batched=True``, which do not support the operations.
    """
    if any(torch._C._functorch.is_legacy_batchedtensor(g) for g in grads):
        return None
    zeros = [(g == 0).all(-1) if g.ndim > ndim else g == 0 for g in grads]
    return functools.reduce(operator.and_, zeros) if zeros else None
