"""The forward and backward kernels of PyTorch tensors, and which tensors they serve.

Three ways lead to the same numbers, and `rows.statistics` chooses. Eager tensors on the CPU and on CUDA go through one
autograd Function around the kernels of their device. Under `torch.compile` the kernels stand behind a custom operator.
Functional transforms, forward-mode autodiff, higher derivatives and other devices take the formulas, which PyTorch
differentiates.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends.modes import is_eager_mode
from crossentropy._kernels import COMPILED
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory_torch import CODES, LOSSES, TorchMemory, are_readable, is_plain
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy._statistics.problem import (
    Cotangents,
    RowStatistics,
    Target,
    clip_to_dtype,
)
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    combine,
    rows_of,
)


def row_kernel(device: str) -> Callable[..., Any] | None:
    """Return the constructor of row kernels for this type of device, None if there is none."""
    if device == "cpu" and COMPILED:
        return functools.partial(RowKernel, TorchMemory)
    if device == "cuda":
        from crossentropy._statistics.cuda import kernel

        return kernel.RowKernel
    return None


def kernels_serve(*tensors: Tensor | None) -> bool:
    """Tell whether the kernels of the first tensor's device can take all of these tensors; a first one of None fails.

    The kernels read memory by address. So all tensors must be dense and on one device, of a dtype that the kernels
    read, and no compiler, transform or tracer may be listening: it would not see the call.
    """
    first = tensors[0]
    return (
        first is not None
        and is_eager_mode()
        and all(x is None or (is_plain(x, first.device.type) and x.device == first.device) for x in tensors)
        and first.dtype in CODES
        and row_kernel(first.device.type) is not None
    )


def cpu_kernels_serve(*tensors: Tensor | None) -> bool:
    """Tell whether the kernels of the CPU can take these tensors: `kernels_serve` for that device alone."""
    return tensors[0] is not None and tensors[0].dtype in CODES and are_readable(*tensors)


def _kernel(settings: StaticArgs, tensors: TensorArgs) -> tuple[Any, Target]:
    """Lay out a row problem for the kernels of its device."""
    target, transform, prior = combine(settings, tensors)
    kernel = row_kernel(tensors.logits.device.type)
    assert kernel is not None  # callers have checked the device
    return kernel(tensors.logits, settings.axis, target, transform, prior), target


def forward(settings: StaticArgs, tensors: TensorArgs) -> RowStatistics:
    """Run the forward kernel; a label outside the classes raises if the settings validate and it can be read."""
    kernel, target = _kernel(settings, tensors)
    stats = kernel.statistics(target, rows_of(settings, tensors.logits), settings.requested)
    if stats.bad_row >= 0 and settings.validate:
        raise bad_label_error(target, stats.bad_row, tensors.logits.shape[settings.axis])
    return stats


def backward(
    settings: StaticArgs,
    tensors: TensorArgs,
    stats: RowStatistics,
    upstream: Cotangents,
    needs: Sequence[bool],
    into: Tensor | None = None,
) -> list[Tensor | None]:
    """Run the backward kernel for the gradients of the LEARNABLE tensors, None where `needs` is false.

    The logits' gradient is written to `into`, which may be the logits themselves unless `runs_twice`.
    """
    kernel, _ = _kernel(settings, tensors)
    rows = rows_of(settings, tensors.logits)
    needs_logits, needs_dense, needs_temperature, needs_bias, needs_margin = needs
    if upstream.log_odds is not None:
        upstream.log_odds = clip_to_dtype(upstream.log_odds, LOSSES[tensors.logits.dtype])
    out: list[Tensor | None] = [None] * LEARNABLE
    dense = torch.empty_like(tensors.dense, memory_format=torch.contiguous_format) if needs_dense else None
    of_labels = needs_margin and tensors.mask is None
    if needs_logits or needs_dense or needs_temperature or of_labels:
        gradients = kernel.pullback(
            stats, upstream, rows, into=into, dense=dense, scale=needs_temperature, target=of_labels
        )
        out[0], out[1] = gradients.logits if needs_logits else None, gradients.dense
        if needs_temperature:
            T = tensors.temperature
            by_temperature = -gradients.scale / T.double() ** 2
            out[2] = (by_temperature if T.ndim else by_temperature.sum()).to(T.dtype)
        if of_labels:
            out[4] = _margin_gradient(settings, tensors, gradients.target)
    # The bias is added to u, and a margin is taken off it at all classes of a set, so their gradients are sums of that
    # of u, not of the logits: the kernel runs once more.
    if runs_twice(tensors, needs):
        du = kernel.pullback(stats, upstream, rows, before_transform=True).logits
        if needs_bias:
            out[3] = _over_rows(du, settings.axis).to(tensors.logit_bias.dtype)
        if needs_margin and not of_labels:
            out[4] = _margin_gradient_of_sets(settings, tensors, du)
    return out


def runs_twice(tensors: TensorArgs, needs: Sequence[bool]) -> bool:
    """Tell whether the backward kernel runs twice for the gradients of the LEARNABLE tensors that `needs` marks."""
    *_, needs_bias, needs_margin = needs
    return needs_bias or (needs_margin and tensors.mask is not None)


def row_curvature(
    settings: StaticArgs, tensors: TensorArgs, upstream: Cotangents, v: Tensor
) -> tuple[Tensor, Cotangents]:
    """Differentiate ``v · backward`` by the logits, and by the upstream gradients, of rows with one label."""
    kernel, _ = _kernel(settings, tensors)
    if upstream.log_odds is not None:
        upstream.log_odds = clip_to_dtype(upstream.log_odds, LOSSES[tensors.logits.dtype])
    found: tuple[Tensor, Cotangents] = kernel.curvature(upstream, v, rows_of(settings, tensors.logits))
    return found


def _over_rows(du: Tensor, axis: int) -> Tensor:
    """Sum over all axes but that of the classes, in float64."""
    du = du[None]  # one axis more, so that a single row has an axis to sum over
    return du.sum([d for d in range(du.ndim) if d != axis + 1], dtype=torch.float64)


def _margin_gradient_of_sets(settings: StaticArgs, tensors: TensorArgs, du: Tensor) -> Tensor:
    """Compute the margin's gradient, ``−Σ ∂u_c / temperature`` over the classes of every row's set."""
    of_set = torch.where(tensors.mask, du, 0.0).double()
    by_margin = _by_margin(settings, tensors, of_set, settings.axis)
    total = _over_rows(by_margin, settings.axis) if tensors.margin.ndim else by_margin.sum()
    return total.to(tensors.margin.dtype)


def _margin_gradient(settings: StaticArgs, tensors: TensorArgs, at_target: Tensor) -> Tensor:
    """Compute the margin's gradient, ``−Σ ∂u_y / temperature``: over all rows, or over those of each class (C,)."""
    margin, y = tensors.margin, tensors.indices
    by_margin = _by_margin(settings, tensors, at_target, -1)
    if margin.ndim == 0:
        return by_margin.sum().to(margin.dtype)
    C = tensors.logits.shape[settings.axis]
    y = y.reshape(-1).long()  # PyTorch compares no unsigned integers but uint8
    known = (y >= 0) & (y < C)
    total = torch.zeros(C, dtype=torch.float64, device=y.device)
    # On CUDA index_add_ adds in an arbitrary order, index_put_ in the same order every time.
    total.index_put_((torch.where(known, y, 0),), by_margin.reshape(-1) * known, accumulate=True)
    return total.to(margin.dtype)


def _by_margin(settings: StaticArgs, tensors: TensorArgs, du: Tensor, axis: int) -> Tensor:
    """Compute ``−∂u / temperature``, where `axis` of `du` is not one of rows."""
    if tensors.temperature is None:
        return -du / settings.temperature
    T = tensors.temperature.double()
    return -du / (T.unsqueeze(axis) if T.ndim else T)
