"""A row problem of PyTorch, split into its tensors and its static arguments."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Planes,
    Prior,
    Target,
    Transform,
    Wanted,
    row_planes,
)


class Settings(NamedTuple):
    """Static arguments of a row problem (hashable)."""

    axis: int
    several: bool
    ignore_index: int | None
    softcap: float | None
    temperature: float
    margin: float | None
    has_prior: bool
    wanted: Wanted
    validate: bool
    prior_total: float | Tensor | None = None


class Tensors(NamedTuple):
    """Tensor arguments of a row problem; the first `LEARNABLE` fields receive gradients."""

    logits: Tensor
    dense: Any  # from here on a Tensor or None
    temperature: Any
    logit_bias: Any
    margin: Any
    indices: Any
    mask: Any
    class_weight: Any
    prior: Any


LEARNABLE = 5  # number of leading fields of Tensors that can have a gradient


def split(
    logits: Tensor,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
) -> tuple[Settings, Tensors]:
    """Split a row problem into its static and its tensor arguments."""
    temperature, margin = transform.temperature, transform.margin
    settings = Settings(
        axis,
        target.several,
        target.ignore_index,
        transform.softcap,
        1.0 if isinstance(temperature, Tensor) else float(temperature),
        None if margin is None or isinstance(margin, Tensor) else float(margin),
        prior is not None,
        wanted,
        validate,
        None if prior is None else prior.total,
    )
    return settings, Tensors(
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


def joined(settings: Settings, tensors: Tensors) -> tuple[Target, Transform, Prior | None]:
    """Invert `split`, but for the statistics requested, which stay in the settings."""
    target = Target(
        tensors.indices,
        tensors.mask,
        tensors.dense,
        settings.several,
        settings.ignore_index,
        tensors.class_weight,
    )
    transform = Transform(
        settings.temperature if tensors.temperature is None else tensors.temperature,
        settings.softcap,
        tensors.logit_bias,
        settings.margin if tensors.margin is None else tensors.margin,
    )
    return target, transform, Prior(tensors.prior, settings.prior_total) if settings.has_prior else None


def plane_names(settings: Settings, tensors: Tensors) -> list[str]:
    """List the statistics of a problem, including those that only the gradient needs, in the order of the outputs."""
    target, _, _ = joined(settings, tensors)
    wanted = settings.wanted
    names = row_planes(target, settings.has_prior, wanted)
    several = ["log_odds"] if target.indices is not None and target.several else []
    counts = [name for name, here in (("argmax", wanted.argmax), ("rank", wanted.rank)) if here]
    return [*several, *names, *counts]


def named(outputs: Sequence[Tensor], settings: Settings, tensors: Tensors) -> Planes:
    """Name a Function's or operator's outputs."""
    planes: dict[str, Any] = dict(zip(plane_names(settings, tensors), outputs, strict=True))
    return Planes(**planes)


def rows_of(settings: Settings, logits: Tensor) -> tuple[int, ...]:
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
