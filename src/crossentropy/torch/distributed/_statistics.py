"""Target statistics of rows whose classes are split over ranks, with the gradients of each rank's inputs.

Forward, every rank computes the statistics of its part, the ranks exchange them, and each merges all parts in rank
order. Backward, a rank needs only the merged statistics for the gradient of its own logits, without communication; the
gradients of replicated inputs, a temperature or one margin, are added over the ranks. A gradient that is itself
differentiated is computed by `_derivatives`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.memory_torch import is_plain
from crossentropy._statistics.log_sum import finite_or_zero
from crossentropy._statistics.merge import ShardStatistics, merge
from crossentropy._statistics.problem import Cotangents, RowStatistics, Target
from crossentropy._statistics.torch import kernels as rowwise
from crossentropy._statistics.torch.autograd import needs_autodiff, save_for_backward
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    cotangents,
    count_labels_from,
    requested_statistics,
)
from crossentropy.torch.distributed import _derivatives as formulas
from crossentropy.torch.distributed._parts import (
    classes_before,
    flatten_rows,
    part_statistics,
    pending_scale,
)
from crossentropy.torch.distributed._shards import Shard, gathered, total_over_ranks

PART = tuple(f.name for f in fields(ShardStatistics))
ROWS = 512  # rows in a block of logits that are read again for the rank of their labels


class Merged(NamedTuple):
    """Statistics of whole rows, the prior's sum over all classes, and the sums of the arrays sent along."""

    stats: RowStatistics
    prior_total: float | None
    sums: list[Tensor]


def exchange_and_merge(
    part: ShardStatistics,
    along: Sequence[Tensor],
    settings: StaticArgs,
    tensors: TensorArgs,
    target: Target,
    shard: Shard,
    before: Callable[[Tensor], Tensor],
) -> Merged:
    """Exchange the parts and merge them in rank order; the arrays `along` are added over the ranks.

    If the labels' rank is requested, ``before(u)`` counts the classes of this shard that rank before the label of every
    row, whose transformed logit is ``u``.
    """
    if part.argmax is not None:
        part.argmax = part.argmax + shard.first
    names = [name for name in PART if getattr(part, name) is not None]
    arrays = [*(getattr(part, name).double() for name in names), *along]
    everyone = gathered(arrays, shard.group)
    parts = [ShardStatistics(**dict(zip(names, rank[: len(names)], strict=True))) for rank in everyone]
    stats = merge(
        parts,
        target,
        shard.classes,
        pending_scale(settings, tensors),
        log_partition=settings.requested.log_partition,
    )
    if stats.argmax is not None:
        stats.argmax = stats.argmax.long()
    if settings.requested.rank:
        u = sum(p.own if p.margin is None else p.own - p.margin for p in parts)[..., 0]
        counts = total_over_ranks(before(u).double(), shard.group).long()
        left_out: Any = stats.argmax < 0  # type: ignore[operator]
        stats.rank = torch.where(left_out, -1, counts)
    total = None if part.prior_total is None else float(sum(p.prior_total for p in parts))
    sums = [sum(same[1:], same[0]) for same in zip(*(rank[len(names) :] for rank in everyone), strict=True)]
    return Merged(stats, total, sums)


def to_local_labels(
    settings: StaticArgs, tensors: TensorArgs, shard: Shard
) -> tuple[StaticArgs, TensorArgs, Target]:
    """Turn labels counted over all classes into local ones; returns the original target as well."""
    target = Target(tensors.indices, tensors.mask, tensors.dense, settings.several, settings.ignore_index)
    return *count_labels_from(shard.first, settings, tensors), target


def statistics(
    settings: StaticArgs, tensors: TensorArgs, along: Sequence[Tensor], shard: Shard
) -> tuple[RowStatistics, list[Tensor]]:
    """Compute the statistics of whole rows from this shard's ``tensors.logits``, and add `along` over the ranks.

    Labels count over all classes; every tensor with a class axis is the shard's part, the prior written out.
    """
    settings, tensors, target = to_local_labels(settings, tensors, shard)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors[:LEARNABLE]):
        names = requested_statistics(settings, tensors)
        outputs = _ShardedStatistics.apply(settings, along, target, shard, *tensors)
        return as_statistics(outputs[: len(names)], settings, tensors), list(outputs[len(names) :])
    result = _exchanged(settings, tensors, along, target, shard)
    return result.stats, result.sums


def _exchanged(
    settings: StaticArgs, tensors: TensorArgs, along: Sequence[Tensor], target: Target, shard: Shard
) -> Merged:
    """Compute this shard's part, and exchange and merge all parts."""

    def before(u: Tensor) -> Tensor:
        z = tensors.logits.detach()
        ndim, z = z.ndim - 1, z.reshape(-1, z.shape[-1])
        blocks = ((rows, z[rows]) for rows in slices(len(z), ROWS))
        return classes_before(settings, flatten_rows(tensors, ndim), target.indices, u, shard, blocks)

    return exchange_and_merge(
        part_statistics(settings, tensors), along, settings, tensors, target, shard, before
    )


class _ShardedStatistics(Function):
    """The statistics of sharded rows: kernels and one exchange forward, kernels alone backward."""

    @staticmethod
    def forward(
        ctx: Any, settings: StaticArgs, along: Sequence[Tensor], target: Target, shard: Shard, *inputs: Any
    ) -> tuple[Tensor, ...]:
        tensors = TensorArgs(*inputs)
        result = _exchanged(settings, tensors, along, target, shard)
        ctx.shard = shard
        return save_statistics(ctx, settings, tensors, result, inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, shard = ctx.settings, ctx.shard
        tensors = TensorArgs(*ctx.saved_tensors[: len(TensorArgs._fields)])
        stats, upstream_grads = load_statistics(ctx, tensors, grads)
        # The kernels have no second derivative: a gradient with a graph goes through formulas around sums over ranks.
        if needs_autodiff(grads):

            def value(*learnable: Any) -> list[Tensor]:
                inputs = TensorArgs(*learnable, *tensors[LEARNABLE:])
                return formulas.statistics(settings, inputs, stats, shard, upstream_grads)

            needs = [x is not None and x.requires_grad for x in tensors[:LEARNABLE]]
            by_inputs = gradients(value, tensors[:LEARNABLE], needs, list(upstream_grads.values()))
        else:
            upstream = cotangents(list(upstream_grads), list(upstream_grads.values()))
            needs = ctx.needs_input_grad[4 : 4 + LEARNABLE]
            by_inputs = rowwise.backward(settings, widened(tensors), stats, upstream, needs)
            shared_gradients(by_inputs, tensors, stats, upstream, shard)
        return (None,) * 4 + (*by_inputs, *(None,) * (len(TensorArgs._fields) - LEARNABLE))


def save_statistics(
    ctx: Any, settings: StaticArgs, tensors: TensorArgs, found: Merged, inputs: Sequence[Any]
) -> tuple[Tensor, ...]:
    """Save inputs and statistics for the backward pass, and return the statistics and the sums."""
    settings = settings._replace(prior_total=found.prior_total)
    return save_for_backward(ctx, settings, tensors, found.stats, inputs, found.sums)


def load_statistics(
    ctx: Any, tensors: TensorArgs, grads: Sequence[Tensor | None]
) -> tuple[RowStatistics, dict[str, Tensor]]:
    """Load the saved statistics, and name the upstream gradients that are not None."""
    if not all(g is None or is_plain(g) for g in grads):
        raise RuntimeError(
            "gradients of a loss of sharded classes come one at a time: leave out is_grads_batched=True and "
            "torch.func, or gather the logits"
        )
    names = requested_statistics(ctx.settings, tensors)
    stats = as_statistics(ctx.saved_tensors[-len(names) :], ctx.settings, tensors)
    return stats, {name: g for name, g in zip(names, grads, strict=False) if g is not None}


def widened(tensors: TensorArgs) -> TensorArgs:
    """Widen replicated inputs to float64, so that their gradients are rounded once, after the sum over ranks."""
    temperature, margin = tensors.temperature, tensors.margin
    return tensors._replace(
        temperature=None if temperature is None else temperature.double(),
        margin=None if margin is None else margin.double(),
    )


def shared_gradients(
    found: list[Tensor | None], tensors: TensorArgs, stats: RowStatistics, upstream: Cotangents, shard: Shard
) -> None:
    """Add the gradients of replicated inputs over the ranks, in place in `found`; the others are local."""
    of_temperature, of_margin = TensorArgs._fields.index("temperature"), TensorArgs._fields.index("margin")
    by_temperature, by_margin = found[of_temperature], found[of_margin]
    if by_temperature is not None:
        T = tensors.temperature
        if shard.rank and tensors.logit_bias is None and upstream.log_partition is not None:
            # Every rank's kernel has added the term of the row's top, g_L · top, which is due only once.
            g_L = upstream.log_partition
            twice = torch.where(g_L == 0, 0.0, g_L * finite_or_zero(stats.top)) / T.double() ** 2
            by_temperature = by_temperature + (twice if T.ndim else twice.sum())
        found[of_temperature] = total_over_ranks(by_temperature, shard.group).to(T.dtype)
    if by_margin is not None:
        if not tensors.margin.ndim:
            by_margin = total_over_ranks(by_margin, shard.group)
        found[of_margin] = by_margin.to(tensors.margin.dtype)
