"""Target statistics of a linear head whose classes are spread over ranks, without its logits.

Every rank makes the logits of its classes a block of rows at a time, forward and once more backward. Its gradient by
the weight is its own; that by the hidden states is a sum over all classes, and so over the ranks.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import Function

from crossentropy.statistics import _linear_torch as linear
from crossentropy.statistics import _torch as rowwise
from crossentropy.statistics._head_torch import Head
from crossentropy.statistics._torch import LEARNABLE, Settings, Tensors
from crossentropy.statistics.merge import Part
from crossentropy.statistics.problem import Planes, Target
from crossentropy.torch._parts import part_statistics
from crossentropy.torch._sharded_statistics import (
    exchanged,
    localised,
    recalled,
    saved,
    shared_gradients,
    widened,
)
from crossentropy.torch._shards import Shard


def statistics(
    head: Head, settings: Settings, tensors: Tensors, along: Sequence[Tensor], shard: Shard
) -> tuple[Planes, list[Tensor]]:
    """What `_sharded_statistics.statistics` says of the logits of `head`; ``tensors.logits`` is not looked at."""
    settings, tensors, target = localised(settings, tensors, shard)
    learning = (*head.factors, head.bias, *tensors[1:LEARNABLE])
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in learning):
        names = rowwise.plane_names(settings, tensors)
        outputs = _ShardedHead.apply(settings, along, target, shard, *head.factors, head.bias, *tensors[1:])
        return rowwise.named(outputs[: len(names)], settings, tensors), list(outputs[len(names) :])
    found = exchanged(_part(settings, head, tensors), along, settings, tensors, target, shard)
    return found.planes, found.sums


def _part(settings: Settings, head: Head, tensors: Tensors) -> Part:
    """The part of all rows, a block of them after the other."""
    found = [
        part_statistics(settings, linear.of_rows(tensors, rows)._replace(logits=z))
        for rows, z in linear.blocks_of_logits(head, linear.rows_in_a_block(head))
    ]
    part = found[0]
    for f in fields(Part):
        if f.name != "prior_total" and getattr(part, f.name) is not None:
            setattr(part, f.name, torch.cat([getattr(block, f.name) for block in found]))
    return part


class _ShardedHead(Function):
    @staticmethod
    def forward(
        ctx: Any, settings: Settings, along: Sequence[Tensor], target: Target, shard: Shard, *inputs: Any
    ) -> tuple[Tensor, ...]:
        head, tensors = linear.taken_apart(2, inputs)
        found = exchanged(_part(settings, head, tensors), along, settings, tensors, target, shard)
        ctx.shard = shard
        return saved(ctx, settings, tensors, found, inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = 2 + len(Tensors._fields)  # hidden, weight, bias, and the tensors but for the logits
        head, tensors = linear.taken_apart(2, ctx.saved_tensors[:inputs])
        planes, upstream = recalled(ctx, tensors, grads)
        needs = ctx.needs_input_grad[4:7]
        needs_others = ctx.needs_input_grad[7 : 6 + LEARNABLE]
        found = linear.backward(ctx.settings, head, widened(tensors), planes, upstream, needs, needs_others)
        by_hidden, by_weight = found.factors
        if by_hidden is not None:
            total = by_hidden.to(torch.promote_types(by_hidden.dtype, torch.float32))
            distributed.all_reduce(total, group=ctx.shard.group)
            by_hidden = total.to(by_hidden.dtype)
        others = [None, *found.others]
        shared_gradients(others, tensors, planes, upstream, ctx.shard)
        rest = (None,) * (len(Tensors._fields) - LEARNABLE)
        return (None,) * 4 + (by_hidden, by_weight, found.bias, *others[1:], *rest)
