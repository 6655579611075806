"""A row problem of PyTorch, split into its tensors and its static arguments."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
    statistic_names,
)


class StaticArgs(NamedTuple):
    """Static arguments of a row problem (hashable)."""

    axis: int
    several: bool
    ignore_index: int | None
    softcap: float | None
    temperature: float
    margin: float | None
    has_prior: bool
    requested: Requested
    validate: bool
    prior_total: float | Tensor | None = None
    foreign: bool = False


class TensorArgs(NamedTuple):
    """Tensor arguments of a row problem; the first `LEARNABLE` fields receive gradients."""

    logits: Any  # a Tensor; None of a head, which makes them block by block. From here on a Tensor or None
    dense: Any
    temperature: Any
    logit_bias: Any
    margin: Any
    indices: Any
    mask: Any
    class_weight: Any
    prior: Any


LEARNABLE = 5  # number of leading fields of Tensors that can have a gradient


def partition(
    logits: Tensor | None,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    requested: Requested,
    validate: bool,
) -> tuple[StaticArgs, TensorArgs]:
    """Split a row problem into its static and its tensor arguments."""
    temperature, margin = transform.temperature, transform.margin
    settings = StaticArgs(
        axis,
        target.several,
        target.ignore_index,
        transform.softcap,
        1.0 if isinstance(temperature, Tensor) else float(temperature),
        None if margin is None or isinstance(margin, Tensor) else float(margin),
        prior is not None,
        requested,
        validate,
        None if prior is None else prior.total,
    )
    return settings, TensorArgs(
        logits,
        target.dense,
        temperature if isinstance(temperature, Tensor) else None,
        transform.logit_bias,
        margin if isinstance(margin, Tensor) else None,
        target.indices,
        target.mask,
        target.class_weight,
        None if prior is None else prior.values,
    )


def combine(settings: StaticArgs, tensors: TensorArgs) -> tuple[Target, Transform, Prior | None]:
    """Invert `partition`, but for the statistics requested, which stay in the settings."""
    target = Target(
        tensors.indices,
        tensors.mask,
        tensors.dense,
        settings.several,
        settings.ignore_index,
        tensors.class_weight,
        settings.foreign,
    )
    transform = Transform(
        settings.temperature if tensors.temperature is None else tensors.temperature,
        settings.softcap,
        tensors.logit_bias,
        settings.margin if tensors.margin is None else tensors.margin,
    )
    return target, transform, Prior(tensors.prior, settings.prior_total) if settings.has_prior else None


def map_rows(tensors: TensorArgs, change: Callable[[Tensor], Tensor]) -> TensorArgs:
    """Apply `change` to the tensors with an entry for every row, but for the logits."""
    names = ["dense", "mask", "indices"]
    if tensors.temperature is not None and tensors.temperature.ndim:
        names.append("temperature")
    parts = {name: getattr(tensors, name) for name in names}
    return tensors._replace(**{name: change(x) for name, x in parts.items() if x is not None})


def count_labels_from(first: int, settings: StaticArgs, tensors: TensorArgs) -> tuple[StaticArgs, TensorArgs]:
    """Count labels from class `first` on, for tensors that hold a part of the classes; other labels are foreign."""
    if tensors.indices is None:
        return settings, tensors
    ignored = settings.ignore_index
    return settings._replace(
        ignore_index=None if ignored is None else ignored - first, foreign=True
    ), tensors._replace(indices=tensors.indices.to(torch.int64) - first)


def requested_statistics(settings: StaticArgs, tensors: TensorArgs) -> list[str]:
    """List the statistics of a problem, including those that only the gradient needs, in the order of the outputs."""
    target, _, _ = combine(settings, tensors)
    requested = settings.requested
    names = statistic_names(target, settings.has_prior, requested)
    several = ["log_odds"] if target.indices is not None and target.several else []
    counts = [name for name, here in (("argmax", requested.argmax), ("rank", requested.rank)) if here]
    return [*several, *names, *counts]


def empty_statistics(
    target: Target, has_prior: bool, requested: Requested, rows: tuple[int, ...], device: torch.device
) -> RowStatistics:
    """Allocate the statistics of rows of this shape, uninitialized; those of one number a row lie in one tensor."""
    names = statistic_names(target, has_prior, requested)
    memory = torch.empty((len(names), *rows), dtype=torch.float64, device=device)
    stats = RowStatistics(**dict(zip(names, memory.unbind(), strict=True)))  # type: ignore[arg-type]
    if target.indices is not None and target.several:
        stats.log_odds = torch.empty(target.indices.shape, dtype=torch.float64, device=device)
    for name, here in (("argmax", requested.argmax), ("rank", requested.rank)):
        if here:
            setattr(stats, name, torch.empty(rows, dtype=torch.int64, device=device))
    return stats


def as_statistics(outputs: Sequence[Tensor], settings: StaticArgs, tensors: TensorArgs) -> RowStatistics:
    """Name a Function's or operator's outputs."""
    stats: dict[str, Any] = dict(zip(requested_statistics(settings, tensors), outputs, strict=True))
    return RowStatistics(**stats)


def rows_of(settings: StaticArgs, logits: Tensor) -> tuple[int, ...]:
    """Return the shape of the rows: that of the logits without the class axis."""
    shape = tuple(logits.shape)
    return shape[: settings.axis] + shape[settings.axis + 1 :]


def cotangents(names: Sequence[str], grads: Sequence[Tensor | None]) -> Cotangents:
    """Name the upstream gradients of the differentiable statistics, as contiguous float64 tensors for the kernels."""
    return Cotangents(
        **{
            name: g.to(torch.float64).contiguous()
            for name, g in zip(names, grads, strict=True)
            if g is not None and name in DIFFERENTIABLE
        }
    )
