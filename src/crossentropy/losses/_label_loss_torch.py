"""The fast lane: one label a row, cross-entropy or focal, PyTorch on the CPU, a gradient for the logits alone.

One autograd Function with one native call each way. At ten classes that is what a loss costs; everything else about
it is the general path, which also gives the second derivative.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy.kernels import _native
from crossentropy.links import CrossEntropy, Focal, Link
from crossentropy.losses._softmax_problem import SoftmaxProblem, make_problem
from crossentropy.losses._softmax_torch import gradient_by_formulas, gradient_memory
from crossentropy.reductions import EMPTY_MESSAGE
from crossentropy.statistics._memory_torch import CODES, TorchMemory, is_plain, large, runs_plainly
from crossentropy.statistics.labels import bad_label_error
from crossentropy.statistics.native import lay_out

INTEGERS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool})


def label_loss(
    logits: Any,
    labels: Any,
    axis: int,
    ignore_index: int | None,
    link: Link | None,
    reduction: str,
    empty: str,
    validate: str,
    inplace: bool,
) -> Tensor | None:
    """The loss, or None where the general path has to look at it."""
    if (
        not runs_plainly()
        or not isinstance(labels, Tensor)
        or not is_plain(labels)
        or not isinstance(logits, Tensor)
        or not is_plain(logits)
        or labels.dtype not in INTEGERS
        or logits.dtype not in CODES
        or reduction not in ("mean", "sum")
        or empty not in ("zero", "nan", "raise")
        or validate != "raise"
        or not (
            link is None
            or type(link) is CrossEntropy
            or (type(link) is Focal and isinstance(link.gamma, (int, float)))
        )
    ):
        return None
    shape = logits.shape
    ndim = len(shape)
    if ndim == 0 or not -ndim <= axis < ndim:
        return None
    axis %= ndim
    if labels.shape != (shape[:axis] + shape[axis + 1 :]) or shape[axis] == 0:
        return None
    gamma = link.gamma if type(link) is Focal else 0.0
    settings = (axis, ignore_index, gamma, reduction, empty, inplace)
    return _LabelLoss.apply(logits, labels, settings)


class _LabelLoss(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, settings: tuple[Any, ...]) -> Tensor:
        axis, ignore_index, gamma, reduction, empty, _ = settings
        y = labels.to(torch.int64).contiguous()
        layout = lay_out(TorchMemory, logits, axis)
        x, outer, classes, inner, strides = layout
        planes = large((5 * outer * inner,), torch.float64)
        ignores = ignore_index is not None
        code, ignored = CODES[x.dtype], ignore_index or 0
        total, kept, bad = _native.label_loss(
            x.data_ptr(),
            code,
            outer,
            classes,
            inner,
            *strides,
            y.data_ptr(),
            ignores,
            ignored,
            gamma,
            planes.data_ptr(),
            torch.get_num_threads(),
        )
        if bad >= 0:
            raise bad_label_error(labels, bad, classes, ignore_index)
        share = 1.0
        if reduction == "mean":
            share = 1.0 / kept if kept else 0.0
            total = total / kept if kept else _of_nothing(empty)
        ctx.save_for_backward(logits, labels)
        ctx.settings, ctx.share, ctx.planes, ctx.labels = settings, share, planes, y
        return torch.tensor(total, dtype=torch.float64 if x.dtype is torch.float64 else torch.float32)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        logits, labels = ctx.saved_tensors
        axis, ignore_index, _, _, _, inplace = ctx.settings
        if torch.is_grad_enabled() or not is_plain(grad):
            return gradient_by_formulas(general_problem(logits, labels, ctx.settings), grad), None, None
        x = lay_out(TorchMemory, logits, axis)
        into = lay_out(TorchMemory, gradient_memory(ctx, logits, x.array, inplace), axis)
        _native.label_loss_gradient(
            x.array.data_ptr(),
            CODES[logits.dtype],
            x.outer,
            x.classes,
            x.inner,
            *x.strides,
            ctx.labels.data_ptr(),
            ignore_index is not None,
            ignore_index or 0,
            ctx.planes.data_ptr(),
            float(grad) * ctx.share,
            into.array.data_ptr(),
            *into.strides,
            torch.get_num_threads(),
        )
        return into.array, None, None


def general_problem(logits: Tensor, labels: Tensor, settings: tuple[Any, ...]) -> SoftmaxProblem:
    """The same loss as the general path knows it."""
    axis, ignore_index, gamma, reduction, empty, _ = settings
    link = Focal(gamma) if gamma else None
    return make_problem(
        logits, labels, axis=axis, ignore_index=ignore_index, link=link, reduction=reduction, empty=empty
    )


def _of_nothing(empty: str) -> float:
    if empty == "raise":
        raise ValueError(EMPTY_MESSAGE)
    return float("nan") if empty == "nan" else 0.0
