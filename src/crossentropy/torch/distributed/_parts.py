"""The statistics of every row over one shard of the classes: a `ShardStatistics`, computed by the kernels."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends import INF
from crossentropy._statistics.head.tiles import of_rows
from crossentropy._statistics.log_sum import LogSumExp, finite_or_zero, logaddexp
from crossentropy._statistics.merge import ShardStatistics, is_repeat
from crossentropy._statistics.problem import RowStatistics
from crossentropy._statistics.torch import kernels as rowwise
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, map_rows
from crossentropy.torch.distributed._shards import Shard


def pending_scale(settings: StaticArgs, tensors: TensorArgs) -> Any:
    """Return the factor still to be applied to the kernels' ``u``: 1/temperature, or 1 with a bias."""
    return 1.0 if tensors.logit_bias is not None else _scale(settings, tensors)


def _scale(settings: StaticArgs, tensors: TensorArgs) -> Any:
    """Return ``1/temperature``, a number or a tensor of the rows' shape."""
    temperature = tensors.temperature
    return 1 / settings.temperature if temperature is None else 1 / temperature.detach().double()


def part_statistics(settings: StaticArgs, tensors: TensorArgs) -> ShardStatistics:
    """Compute the statistics of rows over the classes of ``tensors.logits``, its last axis; labels are local."""
    settings = settings._replace(requested=replace(settings.requested, rank=False))
    stats = rowwise.forward(settings, tensors)
    part = ShardStatistics(stats.top, stats.rest, stats.set_top, stats.set_rest)
    sums = [LogSumExp(part.top, part.rest)]
    margins: list[Any] = [0.0]
    if part.set_top is not None:
        sums.append(LogSumExp(part.set_top, part.set_rest))
        margins.append(0.0)
    if tensors.indices is not None:
        y = tensors.indices if settings.several else tensors.indices[..., None]
        here = (y >= 0) & (y < tensors.logits.shape[-1])
        u, margin = _at_classes(settings, tensors, torch.where(here, y, 0))
        part.own = torch.where(here, u, 0.0)
        part.margin = None if margin is None else torch.where(here, margin, 0.0)
        counted = [here[..., j] & ~is_repeat(y, j) for j in range(y.shape[-1])]
        tops = [torch.where(counts, u[..., j], -INF) for j, counts in enumerate(counted)]
        sums += [LogSumExp(top, torch.zeros_like(top)) for top in tops]
        margins += [0.0] * len(tops) if margin is None else margin.unbind(-1)
    if stats.L_above_top is not None:
        # Margins are subtracted after the peak, from small numbers.
        scale, part.peak = (
            pending_scale(settings, tensors),
            finite_or_zero(reduce(torch.maximum, [s.top for s in sums])),
        )
        near = [
            LogSumExp((s.top - part.peak - m) * scale, s.rest) for s, m in zip(sums, margins, strict=True)
        ]
        part.L_above_peak = reduce(logaddexp, near).value()
    return _completed(part, stats, settings, tensors)


def _at_classes(settings: StaticArgs, tensors: TensorArgs, classes: Tensor) -> tuple[Tensor, Tensor | None]:
    """Compute ``u`` at some classes of every row, (…, k), and the margin there, both before the pending scale."""
    u = _before_margin(settings, tensors, tensors.logits.detach().gather(-1, classes), classes)
    margin = tensors.margin
    if margin is not None:
        margin = margin.detach().double()
        margin = (margin[classes] if margin.ndim else margin).expand(u.shape)
    elif settings.margin is not None:
        margin = torch.full_like(u, settings.margin)
    if margin is None or tensors.logit_bias is None:
        return u, margin
    return u, margin * _scale_of_classes(settings, tensors)


def _before_margin(settings: StaticArgs, tensors: TensorArgs, z: Tensor, classes: Any) -> Tensor:
    """Compute ``u`` from logits of these classes, without margins."""
    u = z.double()
    if settings.softcap is not None:
        u = settings.softcap * torch.tanh(u / settings.softcap)
    if tensors.logit_bias is None:
        return u
    return u * _scale_of_classes(settings, tensors) + tensors.logit_bias.detach().double()[classes]


def _scale_of_classes(settings: StaticArgs, tensors: TensorArgs) -> Any:
    """Return ``1/temperature`` so that it broadcasts over a class axis."""
    scale = _scale(settings, tensors)
    return scale[..., None] if isinstance(scale, Tensor) and scale.ndim else scale


def classes_before(
    settings: StaticArgs,
    tensors: TensorArgs,
    labels: Any,
    own: Tensor,
    shard: Shard,
    blocks: Iterable[tuple[slice, Tensor]],
) -> Tensor:
    """Count the classes of the shard with a larger ``u`` than the label, or an equal one and a smaller index.

    `labels` count over all classes, and `own` is ``u`` there minus the margin, in the rows' shape, which the counts
    have too. `tensors` and the blocks' logits have their rows flattened.
    """
    places, shape = torch.arange(shard.size, device=own.device), own.shape
    labels, own = labels.reshape(-1).to(torch.int64), own.reshape(-1)
    counts = torch.zeros(len(own), dtype=torch.int64, device=own.device)
    for rows, z in blocks:
        u = _before_margin(settings, of_rows(tensors, rows), z, places)
        mine, y = own[rows, None], labels[rows, None] - shard.first
        counts[rows] = (((u > mine) | ((u == mine) & (places < y))) & (places != y)).sum(1)
    return counts.view(shape)


def flatten_rows(tensors: TensorArgs, ndim: int) -> TensorArgs:
    """Flatten the `ndim` axes of the rows of all tensors, class axes behind them, and drop the logits."""
    return map_rows(tensors, lambda x: x.reshape(-1, *x.shape[ndim:]))._replace(logits=None)


def _completed(
    part: ShardStatistics, stats: RowStatistics, settings: StaticArgs, tensors: TensorArgs
) -> ShardStatistics:
    """Set the part's remaining statistics from the kernels', corrected in rows where all its logits are −∞."""
    if stats.argmax is not None:
        _set_best(part, stats.argmax, settings, tensors)
    if part.L_above_peak is None:
        return part
    part.entropy, empty = stats.entropy, part.L_above_peak == -INF
    if stats.prior_term is not None:
        prior = tensors.prior.double()
        part.prior_total = prior.sum()
        part.prior_term = torch.where(empty, _endless(prior), stats.prior_term)
    if stats.dense_term is not None:
        part.dense_term, part.dense_total = stats.dense_term, stats.dense_total
        if bool(empty.any()):
            a = tensors.dense.detach()[empty].double()
            a = a if tensors.class_weight is None else a * tensors.class_weight.double()
            part.dense_term = part.dense_term.masked_scatter(empty, _endless(a))
    return part


def _set_best(part: ShardStatistics, argmax: Tensor, settings: StaticArgs, tensors: TensorArgs) -> None:
    """Set the largest ``u`` minus its margin, and its index within the part."""
    place = argmax.clamp(min=0)[..., None]
    u, margin = _at_classes(settings, tensors, place)
    if margin is not None:
        if tensors.mask is not None:
            on = tensors.mask.gather(-1, place)
        else:
            y = tensors.indices if settings.several else tensors.indices[..., None]
            on = (y == place).any(-1, keepdim=True)
        u = torch.where(on, u - margin, u)
    part.best, part.argmax = u[..., 0], place[..., 0]


def _endless(weights: Tensor) -> Tensor:
    """Compute ``Σ w·∞`` over the classes, where a weight of 0 contributes 0."""
    return torch.where(weights == 0, 0.0, weights * INF).sum(-1)
