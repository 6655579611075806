"""Target statistics of a linear head whose classes are split over ranks, without all the logits at once.

Every rank computes the logits of its classes by blocks of rows. Logits that fit into a budget are kept for the backward
pass, else they are recomputed. The gradient with respect to a rank's weight is local; the one with respect to the
hidden states is a sum over all classes, and so over the ranks.
"""

from collections.abc import Sequence
from dataclasses import fields
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd.function import Function

from crossentropy._statistics.head import passes as linear
from crossentropy._statistics.head.autograd import unpack_inputs
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.skip import tile_maxima, tiles_below
from crossentropy._statistics.head.tiles import blocks_of_logits, of_rows, rows_in_a_block, tiles_of
from crossentropy._statistics.merge import ShardStatistics
from crossentropy._statistics.problem import RowStatistics, Target, arrays
from crossentropy._statistics.torch.autograd import needs_autodiff
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    cotangents,
    requested_statistics,
)
from crossentropy.torch.distributed import _derivatives as formulas
from crossentropy.torch.distributed._parts import classes_before, flatten_rows, part_statistics
from crossentropy.torch.distributed._rank_sums import shared
from crossentropy.torch.distributed._shards import Shard
from crossentropy.torch.distributed._statistics import (
    Merged,
    exchange_and_merge,
    load_statistics,
    save_statistics,
    shared_gradients,
    to_local_labels,
    widened,
)

KEPT = 256 << 20  # most bytes of logits that are kept for the backward pass


class MemoryOptions(NamedTuple):
    """Limits on a head's memory and work: bytes of logits kept, probability below which tiles are skipped."""

    memory_budget: int
    skip_below: float


def statistics(
    head: Head,
    thrift: MemoryOptions,
    rows: tuple[int, ...],
    settings: StaticArgs,
    tensors: TensorArgs,
    along: Sequence[Tensor],
    shard: Shard,
) -> tuple[RowStatistics, list[Tensor]]:
    """Compute what `_statistics.statistics` does, for the logits of `head`, whose rows have the shape `rows`."""
    settings, tensors, target = to_local_labels(
        settings._replace(axis=1), flatten_rows(tensors, len(rows)), shard
    )
    learning = (*head.factors, head.bias, *tensors[1:LEARNABLE])
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in learning):
        names = requested_statistics(settings, tensors)
        static = (settings, thrift, along, target, shard, len(head.factors))
        outputs = _ShardedHead.apply(*static, *head.factors, head.bias, *tensors[1:])
        stats, sums = as_statistics(outputs[: len(names)], settings, tensors), list(outputs[len(names) :])
    else:
        stats, _, sums = _exchanged(head, settings, tensors, along, target, shard)
    return RowStatistics(**{name: x.reshape(rows + x.shape[1:]) for name, x in arrays(stats).items()}), sums


def _exchanged(
    head: Head,
    settings: StaticArgs,
    tensors: TensorArgs,
    along: Sequence[Tensor],
    target: Target,
    shard: Shard,
    kept: Tensor | None = None,
    largest: list[Tensor] | None = None,
) -> Merged:
    """Compute, exchange and merge the statistics; `kept` gets the logits, `largest` each block's `tile_maxima`."""
    height, tiles = rows_in_a_block(head), tiles_of(head)
    parts = []
    for rows, z in blocks_of_logits(head, height):
        block = of_rows(tensors, rows)
        parts.append(part_statistics(settings, block._replace(logits=z)))
        if kept is not None:
            kept[rows] = z
        if largest is not None and len(z):
            largest.append(tile_maxima(settings, block, z, tiles))

    def before(u: Tensor) -> Tensor:
        blocks = blocks_of_logits(head, height)
        return classes_before(settings, tensors, target.indices, u, shard, blocks)

    return exchange_and_merge(_joined(parts), along, settings, tensors, target, shard, before)


def _joined(blocks: Sequence[ShardStatistics]) -> ShardStatistics:
    """Concatenate the parts of blocks of rows."""
    part = blocks[0]
    for f in fields(ShardStatistics):
        if f.name != "prior_total" and getattr(part, f.name) is not None:
            setattr(part, f.name, torch.cat([getattr(block, f.name) for block in blocks]))
    return part


class _ShardedHead(Function):
    """The statistics of a sharded head, differentiable with respect to its factors, bias and row problem."""

    @staticmethod
    def forward(
        ctx: Any,
        settings: StaticArgs,
        thrift: MemoryOptions,
        along: Sequence[Tensor],
        target: Target,
        shard: Shard,
        count: int,
        *inputs: Any,
    ) -> tuple[Tensor, ...]:
        head, tensors = unpack_inputs(count, inputs)
        size = (head.rows, head.classes)
        keeps = not thrift.skip_below and prod(size) * head.dtype.itemsize <= thrift.memory_budget
        kept = head.room(*size) if keeps else None
        largest: list[Tensor] | None = [] if thrift.skip_below else None
        result = _exchanged(head, settings, tensors, along, target, shard, kept, largest)
        ctx.skipped = largest and tiles_below(largest, result.stats.log_partition, thrift.skip_below)
        ctx.shard, ctx.count = shard, count
        return save_statistics(ctx, settings, tensors, result, (kept, *inputs))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, shard, count = ctx.settings, ctx.shard, ctx.count
        size = count + len(TensorArgs._fields)  # the factors, the bias, and all tensors except the logits
        kept, *inputs = ctx.saved_tensors[: 1 + size]
        head, tensors = unpack_inputs(count, inputs)
        stats, upstream_grads = load_statistics(ctx, tensors, grads)
        # The kernels have no second derivative: a gradient with a graph goes through formulas on all local logits.
        if needs_autodiff(grads):

            def value(*learnable: Any) -> list[Tensor]:
                local_head, others = unpack_inputs(count, [*learnable, *tensors[LEARNABLE:]])
                factors = list(local_head.factors)
                factors[::2] = shared(factors[::2], shard.group)  # type: ignore[assignment]
                others = others._replace(logits=local_head._replace(factors=tuple(factors)).whole())
                return formulas.statistics(settings, others, stats, shard, upstream_grads)

            learnable = inputs[: count + LEARNABLE]
            needs = [x is not None and x.requires_grad for x in learnable]
            by_inputs = gradients(value, learnable, needs, list(upstream_grads.values()))
        else:
            upstream = cotangents(list(upstream_grads), list(upstream_grads.values()))
            requested = ctx.needs_input_grad[6 : 6 + size]
            needs, needs_others = requested[: count + 1], requested[count + 1 : count + LEARNABLE]
            found = linear.backward(
                *(settings, head, widened(tensors), stats, upstream, needs, needs_others),
                skipped=ctx.skipped,
                logits=kept,
            )
            _sum_up(found.factors, shard)
            others = [None, *found.others]
            shared_gradients(others, tensors, stats, upstream, shard)
            by_inputs = [*found.factors, found.bias, *others[1:]]
        return (None,) * 6 + (*by_inputs, *(None,) * (len(TensorArgs._fields) - LEARNABLE))


def _sum_up(factors: list[Tensor | None], shard: Shard) -> None:
    """Add the gradients with respect to each x (hidden states) over the ranks, in place, by one collective."""
    learning = [x for x in factors[::2] if x is not None]
    if not learning:
        return
    total = torch.cat([x.to(torch.promote_types(x.dtype, torch.float32)).reshape(-1) for x in learning])
    distributed.all_reduce(total, group=shard.group)
    each = iter(total.split([x.numel() for x in learning]))
    factors[::2] = [x if x is None else next(each).view(x.shape).to(x.dtype) for x in factors[::2]]
