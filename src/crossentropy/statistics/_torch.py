"""The statistics of PyTorch tensors, with their gradients.

Three ways lead to the same numbers. Eager tensors on the CPU and on CUDA go through one autograd Function around the
kernels of their device. Under `torch.compile` those of the CPU stand behind a custom operator. Functional transforms,
forward-mode differentiation, higher derivatives and other devices take the reference formulas, which PyTorch
differentiates.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.statistics import reference
from crossentropy.statistics._memory_torch import CODES, TorchMemory, is_compiled, is_plain, runs_plainly
from crossentropy.statistics.labels import bad_label_error
from crossentropy.statistics.native import RowKernel
from crossentropy.statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Planes,
    Prior,
    Target,
    Transform,
    Wanted,
    row_planes,
    within_range,
)

__all__ = ["kernels_apply", "statistics"]


class Settings(NamedTuple):
    """What of a row problem is not a tensor."""

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
    """What of it is; gradients flow to the floating ones but `class_weight` and `prior`."""

    logits: Tensor
    dense: Any  # these, if not None
    temperature: Any
    logit_bias: Any
    margin: Any
    indices: Any
    mask: Any
    class_weight: Any
    prior: Any


LEARNABLE = 5  # the leading fields of Tensors that can have a gradient


def statistics(
    logits: Tensor,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
    idle: Tensor | None,
) -> Planes:
    """Target statistics of every row along `axis`."""
    settings, tensors = split(logits, axis, target, transform, prior, wanted, validate)
    if is_compiled() and logits.device.type in ("cpu", "cuda") and logits.dtype in CODES:
        from crossentropy.statistics import _torch_op

        return named(_torch_op.statistics(settings, tensors), settings, tensors)
    if not own_kernels_apply(*tensors):
        return reference.statistics(
            logits, axis, target, transform, prior, wanted, validate=validate, idle=idle
        )
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors[:LEARNABLE]):
        return named(_RowStatistics.apply(settings, *tensors), settings, tensors)
    return forward(settings, tensors)


def row_kernel(device: str) -> Callable[..., Any] | None:
    """What is called with a row problem on a device of this type and makes a kernel of it; None if there is none."""
    if device == "cpu":
        return functools.partial(RowKernel, TorchMemory)
    if device == "cuda":
        from crossentropy.statistics import _triton

        return _triton.RowKernel
    return None


def own_kernels_apply(*tensors: Tensor | None) -> bool:
    """Whether the kernels of the first tensor's device, which may not be None, can take all of them eagerly."""
    first = tensors[0]
    return (
        first is not None
        and runs_plainly()
        and all(x is None or (is_plain(x, first.device.type) and x.device == first.device) for x in tensors)
        and first.dtype in CODES
        and row_kernel(first.device.type) is not None
    )


def kernels_apply(*tensors: Tensor | None) -> bool:
    """Whether the kernels of the CPU can take these tensors eagerly."""
    return (
        runs_plainly()
        and all(x is None or is_plain(x) for x in tensors)
        and tensors[0] is not None
        and tensors[0].dtype in CODES
    )


def split(
    logits: Tensor,
    axis: int,
    target: Target,
    transform: Transform,
    prior: Prior | None,
    wanted: Wanted,
    validate: bool,
) -> tuple[Settings, Tensors]:
    """A row problem as what is not a tensor of it and what is."""
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
    """The inverse of `split`."""
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
    """The planes of a problem, those that a gradient needs among them, in the order they travel in."""
    target, _, _ = joined(settings, tensors)
    wanted = settings.wanted
    names = row_planes(target, settings.has_prior, wanted)
    several = ["log_odds"] if target.indices is not None and target.several else []
    counts = [name for name, here in (("argmax", wanted.argmax), ("rank", wanted.rank)) if here]
    return [*several, *names, *counts]


def named(outputs: Sequence[Tensor], settings: Settings, tensors: Tensors) -> Planes:
    planes: dict[str, Any] = dict(zip(plane_names(settings, tensors), outputs, strict=True))
    return Planes(**planes)


def rows_of(settings: Settings, logits: Tensor) -> tuple[int, ...]:
    """The shape of the rows."""
    shape = tuple(logits.shape)
    return shape[: settings.axis] + shape[settings.axis + 1 :]


def _kernel(settings: Settings, tensors: Tensors) -> tuple[Any, Target]:
    target, transform, prior = joined(settings, tensors)
    kernel = row_kernel(tensors.logits.device.type)
    assert kernel is not None  # or nobody would ask
    return kernel(tensors.logits, settings.axis, target, transform, prior), target


def forward(settings: Settings, tensors: Tensors) -> Planes:
    """The forward kernel."""
    kernel, target = _kernel(settings, tensors)
    planes = kernel.statistics(target, rows_of(settings, tensors.logits), settings.wanted)
    if planes.bad_row >= 0 and settings.validate:
        raise bad_label_error(
            target.indices,
            planes.bad_row,
            tensors.logits.shape[settings.axis],
            target.ignore_index,
            several=target.several,
        )
    return planes


def backward(
    settings: Settings,
    tensors: Tensors,
    planes: Planes,
    upstream: Cotangents,
    needs: Sequence[bool],
    into: Tensor | None = None,
) -> list[Tensor | None]:
    """The backward kernel: gradients by the leading LEARNABLE tensors, where `needs` asks for them.

    That by the logits is written to `into`, which may be the logits themselves unless the bias's is asked for too.
    """
    kernel, _ = _kernel(settings, tensors)
    rows = rows_of(settings, tensors.logits)
    needs_logits, needs_dense, needs_temperature, needs_bias, needs_margin = needs
    if upstream.log_odds is not None:
        upstream.log_odds = within_range(upstream.log_odds, tensors.logits)
    out: list[Tensor | None] = [None] * LEARNABLE
    dense = torch.empty_like(tensors.dense, memory_format=torch.contiguous_format) if needs_dense else None
    if needs_logits or needs_dense or needs_temperature or needs_margin:
        found = kernel.pullback(
            planes, upstream, rows, into=into, dense=dense, scale=needs_temperature, target=needs_margin
        )
        out[0], out[1] = found.logits if needs_logits else None, found.dense
        if needs_temperature:
            T = tensors.temperature
            by_temperature = -found.scale / T.double() ** 2
            out[2] = (by_temperature if T.ndim else by_temperature.sum()).to(T.dtype)
        if needs_margin:
            out[4] = _margin_gradient(settings, tensors, found.target)
    if needs_bias:
        du = kernel.pullback(planes, upstream, rows, before_transform=True).logits[
            None
        ]  # a row has others to sum over
        others = [d for d in range(du.ndim) if d != settings.axis + 1]
        out[3] = du.sum(others, dtype=torch.float64).to(tensors.logit_bias.dtype)
    return out


def _margin_gradient(settings: Settings, tensors: Tensors, at_target: Tensor) -> Tensor:
    """By the margin: ``−∂u_y / temperature``, over all rows or over those of each class."""
    margin, y = tensors.margin, tensors.indices
    if tensors.temperature is None:
        by_margin = -at_target / settings.temperature
    else:
        T = tensors.temperature.double()
        by_margin = -at_target / (T[..., None] if T.ndim else T)
    if margin.ndim == 0:
        return by_margin.sum().to(margin.dtype)
    C = tensors.logits.shape[settings.axis]
    y = y.reshape(-1)
    known = (y >= 0) & (y < C)
    total = torch.zeros(C, dtype=torch.float64, device=y.device)
    # index_add_ adds in any order on CUDA, this in one order everywhere
    total.index_put_((torch.where(known, y, 0).long(),), by_margin.reshape(-1) * known, accumulate=True)
    return total.to(margin.dtype)


def reference_gradients(
    settings: Settings, tensors: Tensors, names: Sequence[str], grads: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The same gradients by formulas, with a graph of their own where one is asked for."""
    create_graph = torch.is_grad_enabled()
    idle = _without_gradient([g for g in grads if g is not None], len(rows_of(settings, tensors.logits)))
    with torch.enable_grad():
        # Aliases, for one input may be made of another: the way through it is not for this derivative to go.
        learnable = [x.view_as(x) if x is not None and x.requires_grad else x for x in tensors[:LEARNABLE]]
        tensors = Tensors._make([*learnable, *tensors[LEARNABLE:]])
        target, transform, prior = joined(settings, tensors)
        planes = reference.statistics(
            tensors.logits, settings.axis, target, transform, prior, settings.wanted, idle=idle
        )
    pairs = [
        (getattr(planes, name), g) for name, g in zip(names, grads, strict=True) if name in DIFFERENTIABLE
    ]
    pairs = [(x, g) for x, g in pairs if g is not None and x.requires_grad]
    wanted = [x for x in learnable if x is not None and x.requires_grad]
    outputs, upstream = [x for x, _ in pairs], [g for _, g in pairs]
    found = iter(torch.autograd.grad(outputs, wanted, upstream, create_graph=create_graph, allow_unused=True))
    return [next(found) if x is not None and x.requires_grad else None for x in learnable]


def _without_gradient(grads: Sequence[Tensor], ndim: int) -> Tensor | None:
    """Which rows no gradient comes from; those of k log-odds have an axis more than `ndim`.

    None if that cannot be said: what ``is_grads_batched=True`` passes has too few operations.
    """
    if any(torch._C._functorch.is_legacy_batchedtensor(g) for g in grads):
        return None
    zeros = [(g == 0).all(-1) if g.ndim > ndim else g == 0 for g in grads]
    return functools.reduce(operator.and_, zeros) if zeros else None


def keep(
    ctx: Any,
    settings: Settings,
    tensors: Tensors,
    planes: Planes,
    inputs: Sequence[Any],
    also: Sequence[Tensor] = (),
) -> tuple[Tensor, ...]:
    """Save for a backward pass what a Function of statistics was given and found, and return what it is to return.

    `also` are results that have no gradient and are not saved.
    """
    found = {name: getattr(planes, name) for name in plane_names(settings, tensors)}
    ctx.settings = settings
    ctx.save_for_backward(*inputs, *found.values())
    ctx.mark_non_differentiable(*(x for name, x in found.items() if name not in DIFFERENTIABLE), *also)
    ctx.set_materialize_grads(False)
    return (*found.values(), *also)


def takes_formulas(tensors: Tensors, grads: Sequence[Tensor | None]) -> bool:
    """Whether a gradient is beyond the kernels: to be differentiated itself, of many at once, by a set's margin."""
    learns_margin = tensors.margin is not None and tensors.margin.requires_grad
    batched = not all(g is None or is_plain(g, g.device.type) for g in grads)
    return torch.is_grad_enabled() or batched or (learns_margin and tensors.indices is None)


class _RowStatistics(Function):
    @staticmethod
    def forward(ctx: Any, settings: Settings, *inputs: Any) -> tuple[Tensor, ...]:
        tensors = Tensors(*inputs)
        return keep(ctx, settings, tensors, forward(settings, tensors), inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings, saved = ctx.settings, ctx.saved_tensors
        tensors = Tensors(*saved[: len(Tensors._fields)])
        names = plane_names(settings, tensors)
        others = (None,) * (len(Tensors._fields) - LEARNABLE)
        if takes_formulas(tensors, grads):
            return (None, *reference_gradients(settings, tensors, names, grads), *others)
        planes = named(saved[len(Tensors._fields) :], settings, tensors)
        upstream = cotangents(names, grads)
        needs = ctx.needs_input_grad[1 : 1 + LEARNABLE]
        return (None, *backward(settings, tensors, planes, upstream, needs), *others)


def cotangents(names: Sequence[str], grads: Sequence[Tensor | None]) -> Cotangents:
    """The upstream gradients by name, as the kernels read them."""
    return Cotangents(
        **{
            name: g.to(torch.float64).contiguous()
            for name, g in zip(names, grads, strict=True)
            if g is not None and name in DIFFERENTIABLE
        }
    )
