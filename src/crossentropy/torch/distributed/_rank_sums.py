"""Sums over the ranks that have derivatives of every order.

What all ranks have alike, as a temperature, each of them makes something of for its own classes: `shared` passes it
on. The sum of what they made is had alike by all again: `total`. Each is the other's derivative: the gradient of what
is shared is the sum of the ranks' gradients, and that of a sum goes to every rank as it is.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.torch.distributed._shards import total_over_ranks


def total(own: Tensor, group: Any, found: Tensor | None = None) -> Tensor:
    """``Σ own`` over the ranks in their order, `found` if it is known already."""
    found = total_over_ranks(own.detach(), group) if found is None else found
    result: Tensor = _Total.apply(found, own, group)
    return result


def shared(tensors: Sequence[Tensor | None], group: Any) -> list[Tensor | None]:
    """The tensors, which all ranks have alike, for each rank to make something of; by one sum backward."""
    learning = [x for x in tensors if x is not None and x.requires_grad]
    if not learning:
        return list(tensors)
    together: Tensor = _Shared.apply(torch.cat([x.double().reshape(-1) for x in learning]), group)
    each = iter(together.split([x.numel() for x in learning]))
    return [x if x is None or not x.requires_grad else next(each).view(x.shape).to(x.dtype) for x in tensors]


class _Total(Function):
    @staticmethod
    def forward(ctx: Any, found: Tensor, own: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return found.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        return None, _Shared.apply(grad, ctx.group), None


class _Shared(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return total(grad, ctx.group), None
