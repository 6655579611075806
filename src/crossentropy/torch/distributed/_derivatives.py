"""The statistics of sharded rows as formulas around one sum over the ranks, for gradients that the kernels lack.

PyTorch differentiates them to any order: second derivatives are those of the loss as one function of all ranks'
inputs. Sums of exponentials are taken relative to the statistics that the forward pass has found, so that nothing
overflows; these constants cancel and have no gradient.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._backends import INF
from crossentropy._statistics import formulas
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy._statistics.log_sum import finite_or_zero
from crossentropy._statistics.problem import RowStatistics, arrays
from crossentropy._statistics.torch.problem import StaticArgs, TensorArgs, combine
from crossentropy.torch.distributed._parts import pending_scale
from crossentropy.torch.distributed._rank_sums import shared, total
from crossentropy.torch.distributed._shards import Shard


def statistics(
    settings: StaticArgs, tensors: TensorArgs, known: RowStatistics, shard: Shard, grads: Mapping[str, Tensor]
) -> list[Tensor]:
    """Compute the statistics of rows that `grads` names, up to constants: only their derivatives are used.

    ``tensors.logits`` are this shard's classes, `known` the merged statistics of the forward pass, and `grads` the
    upstream gradients by name.
    """
    tensors = with_shared(tensors, shard)
    void, ignored, invalid = _rows_apart(settings, tensors, known, list(grads.values()))
    constant: dict[str, Any] = {
        name: _fill_excluded(x.detach(), void, 0) for name, x in arrays(known).items()
    }
    known = RowStatistics(**constant)
    u, offset, on = transformed(settings, tensors, void, invalid)
    base = finite_or_zero(known.top) * pending_scale(settings, tensors) - offset
    L = None if known.L_above_top is None else base + known.L_above_top
    targets = [] if on is None else _targets(settings, tensors, known, on, offset, base, L)
    columns = [column for target in targets for column in target.columns(u)]
    if L is not None:
        columns += _of_all_classes(settings, tensors, u - L[..., None])
    sums = iter(total(torch.stack(columns), shard.group).unbind())
    result = RowStatistics()
    if targets:
        odds = [_fill_excluded(target.log_odds(next(sums), next(sums)), ignored, -INF) for target in targets]
        result.log_odds = torch.stack(odds, dim=-1) if settings.several else odds[0]
    if L is not None:
        whole = next(sums)
        more = whole.log()
        if settings.requested.log_partition:
            result.log_partition = _fill_excluded(more, ignored, 0)
        if settings.has_prior:
            R: Any = settings.prior_total
            result.prior_term = _fill_excluded(R * more - next(sums), ignored, 0)
        if tensors.dense is not None:
            result.dense_term = next(sums) * more - next(sums)
        if settings.requested.entropy:
            result.entropy = _fill_excluded(more - next(sums) / whole, ignored, 0)
    return [getattr(result, name) for name in grads]


def _of_all_classes(settings: StaticArgs, tensors: TensorArgs, depth: Tensor) -> list[Tensor]:
    """Sum over this shard's classes ``e^d``, ``r d``, ``a``, ``a d`` and ``e^d d``, with ``d = u − L``."""
    e = depth.exp()
    columns = [e.sum(-1)]
    if settings.has_prior:
        columns.append(_weighted(tensors.prior.double(), depth))
    if tensors.dense is not None:
        a = tensors.dense.double()
        a = a if tensors.class_weight is None else a * tensors.class_weight.double()
        columns += [a.sum(-1), _weighted(a, depth)]
    if settings.requested.entropy:
        columns.append((e * depth.masked_fill(e == 0, 0.0)).sum(-1))
    return columns


def with_shared(tensors: TensorArgs, shard: Shard) -> TensorArgs:
    """Wrap replicated inputs (temperature, scalar margin) so that backward adds their gradients over the ranks."""
    T, m = tensors.temperature, tensors.margin
    if m is not None and m.ndim:
        return tensors._replace(temperature=shared([T], shard.group)[0])
    T, m = shared([T, m], shard.group)
    return tensors._replace(temperature=T, margin=m)


class _Target(NamedTuple):
    """A label or a label set of every row: its mask, and the known logarithms of the sums off and on target."""

    on: Tensor
    off_size: Tensor
    on_size: Tensor | None  # None for one label, whose logit needs no exponential

    def columns(self, u: Tensor) -> list[Tensor]:
        """Sum over this shard's classes off and on target, relative to the known sums."""
        relative = u - self.off_size[..., None]
        off = relative.masked_fill(self.on, -INF).exp().sum(-1)
        if self.on_size is None:
            return [off, relative.masked_fill(~self.on, 0.0).sum(-1)]
        return [off, (u - self.on_size[..., None]).masked_fill(~self.on, -INF).exp().sum(-1)]

    def log_odds(self, off: Tensor, on: Tensor) -> Tensor:
        """Compute ``D`` up to a constant from the sums over all ranks."""
        return log_or_nothing(off) - (on if self.on_size is None else log_or_nothing(on))


def _targets(
    settings: StaticArgs,
    tensors: TensorArgs,
    known: RowStatistics,
    on: Tensor,
    offset: Any,
    base: Tensor,
    L: Tensor | None,
) -> list[_Target]:
    """Describe the labels of a row, one by one, or its label set."""
    off = base + known.rest.log1p()
    if tensors.mask is not None:
        set_base = finite_or_zero(known.set_top) * pending_scale(settings, tensors) - offset
        return [_Target(on, off, set_base + known.set_rest.log1p())]
    if not settings.several:
        return [_Target(on, off, None)]
    offs = [finite_or_zero(L + log_sigmoid(D)) for D in known.log_odds.unbind(-1)]
    return [_Target(label, off, None) for label, off in zip(on.unbind(-2), offs, strict=True)]


def _rows_apart(
    settings: StaticArgs, tensors: TensorArgs, known: RowStatistics, grads: Sequence[Tensor]
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Find the excluded rows, the ignored ones among them, and the invalid rows.

    An invalid row is excluded if its upstream gradients are all 0.
    """
    rows = known.top.ndim

    def of_rows(x: Tensor, of: Any) -> Tensor:
        return of(x, -1) if x.ndim > rows else x

    invalid = reduce(torch.logical_or, [of_rows(x.isnan(), torch.any) for x in arrays(known).values()])
    idle = reduce(torch.logical_and, [of_rows(g == 0, torch.all) for g in grads])
    if settings.ignore_index is None:
        return invalid & idle, None, invalid
    ignored = of_rows(tensors.indices == settings.ignore_index, torch.any)
    return invalid & idle | ignored, ignored, invalid


def transformed(
    settings: StaticArgs, tensors: TensorArgs, void: Tensor, invalid: Tensor
) -> tuple[Tensor, Any, Tensor | None]:
    """Compute ``u`` minus an offset (0 in excluded rows, NaN in invalid ones), the offset, and the targets' mask."""
    on, is_target = tensors.mask, tensors.mask
    if tensors.indices is not None:
        on = tensors.indices[..., None] == torch.arange(
            tensors.logits.shape[-1], device=tensors.indices.device
        )
        is_target = on.any(-2) if settings.several else on
    _, transform, _ = combine(settings, tensors)
    z = tensors.logits.double().masked_fill(void[..., None], 0)
    u, offset = formulas.transformed(z, transform, is_target)
    return torch.where((invalid & ~void)[..., None], torch.nan, u), offset, on


def _fill_excluded(x: Tensor, rows: Tensor | None, value: float) -> Tensor:
    """Fill some rows of `x` with a constant."""
    if rows is None:
        return x
    return x.masked_fill(rows[..., None] if x.ndim > rows.ndim else rows, value)


def log_or_nothing(x: Tensor) -> Tensor:
    """Compute the logarithm; that of 0 is −∞ and has no gradient."""
    nothing = x == 0
    return x.masked_fill(nothing, 1.0).log().masked_fill(nothing, -INF)


def _weighted(w: Tensor, depth: Tensor) -> Tensor:
    """Compute ``Σ w (u − L)``, where a weight of 0 contributes 0."""
    return (w * depth.masked_fill((w == 0) & (depth == -INF), 0.0)).sum(-1)
