"""Sums over ranks with derivatives of every order.

`shared` marks a replicated input, such as a temperature, which every rank uses for its own classes; `total` adds the
ranks' results to a replicated value. Each is the other's derivative: the gradient of a replicated input is the sum of
the ranks' gradients, and the gradient of a sum goes to every rank unchanged.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.torch.distributed._shards import total_over_ranks


def total(own: Tensor, group: Any, found: Tensor | None = None) -> Tensor:
    """Add `own` over the ranks in rank order, differentiably; `found` is the sum if it is known already."""
    found = total_over_ranks(own.detach(), group) if found is None else found
    result: Tensor = _Total.apply(found, own, group)
    return result


def shared(tensors: Sequence[Tensor | None], group: Any) -> list[Tensor | None]:
    """Wrap replicated tensors so that backward adds their gradients over the ranks, all by one collective."""
    learning = [x for x in tensors if x is not None and x.requires_grad]
    if not learning:
        return list(tensors)
    together: Tensor = _Shared.apply(torch.cat([x.double().reshape(-1) for x in learning]), group)
    each = iter(together.split([x.numel() for x in learning]))
    return [x if x is None or not x.requires_grad else next(each).view(x.shape).to(x.dtype) for x in tensors]


class _Total(Function):
    """Sum over ranks forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, own: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return found.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        return None, _Shared.apply(grad, ctx.group), None


class _Shared(Function):
    """Identity forward, sum over ranks backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return total(grad, ctx.group), None
