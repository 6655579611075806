"""Losses of sharded rows whose link acts on every class, by formulas around sums over the ranks."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import excluded_rows, not_ignored_rows
from crossentropy._statistics import RowStatistics, Target
from crossentropy._statistics.log_sum import finite_or_zero
from crossentropy._statistics.torch.problem import partition
from crossentropy.torch.distributed._derivatives import log_or_nothing, transformed, with_shared
from crossentropy.torch.distributed._parts import pending_scale
from crossentropy.torch.distributed._rank_sums import shared, total
from crossentropy.torch.distributed._shards import Shard
from crossentropy.torch.distributed._statistics import to_local_labels


def row_losses(
    problem: SoftmaxProblem, known: RowStatistics, logits: Tensor, shard: Shard
) -> tuple[Tensor, Tensor]:
    """Compute ``Σ_c a_c φ(log p_c)`` and the mass ``Σ_c a_c`` of every row, the same on all ranks.

    `problem` and `logits` have this rank's classes, but labels count over all; `known` are the statistics of whole
    rows, log-partition and argmax among them.
    """
    settings, tensors = partition(
        logits, problem.axis, problem.target, problem.transform, None, problem.requested, False
    )
    settings, tensors, _ = to_local_labels(settings, with_shared(tensors, shard), shard)
    invalid, keep, out = known.log_partition.isnan(), not_ignored_rows(problem), excluded_rows(problem)
    void = torch.zeros_like(invalid) if out is None else invalid & out
    void = void if keep is None else void | ~keep
    u, offset, _ = transformed(settings, tensors, void, invalid)
    base = finite_or_zero(known.top.detach()) * pending_scale(settings, tensors) - offset
    L = (base + known.L_above_top.detach()).masked_fill(void, math.log(shard.classes))
    place = known.argmax.masked_fill(void, 0)[..., None] - shard.first
    D = _log_odds(u - L[..., None], place == torch.arange(shard.size, device=place.device), shard)
    prior = problem.smoothing_prior
    if prior is None:
        prior = torch.full((shard.size,), 1 / shard.classes, dtype=torch.float64, device=logits.device)
    target = Target(tensors.indices, None, tensors.dense, settings.several, settings.ignore_index)
    masses = shared([problem.masses], shard.group)[0]
    shares = per_class.losses_of_classes(
        replace(problem, logits=logits, target=target, masses=masses, smoothing_prior=prior), D
    )
    losses, weights = total(torch.stack(shares), shard.group).unbind()
    return losses, weights


def _log_odds(depth: Tensor, likeliest: Tensor, shard: Shard) -> Tensor:
    """Compute ``D_c = ln(1 − p_c) − ln p_c`` of this rank's classes, from approximate ``ln p_c``.

    For the likeliest class ``1 − p`` is the sum of the others on all ranks, so that no digits cancel.
    """
    e = depth.exp()
    sums = total(torch.stack([e.sum(-1), e.masked_fill(likeliest, 0).sum(-1)]), shard.group)
    logs: Any = shared([log_or_nothing(sums)[..., None]], shard.group)[0]
    whole, others = logs
    log_p = depth - whole
    p = log_p.exp().masked_fill(likeliest, 0)
    return torch.where(likeliest, others - depth, torch.log1p(-p) - log_p)
