"""The fast lane: labels or sets of them, cross-entropy or focal, PyTorch on the CPU, a gradient for the logits alone.

One autograd Function with one native call each way. At ten classes that is what a loss costs; everything else about
it is the general path, which also gives the second derivative.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._engine.reductions import of_nothing
from crossentropy._engine.softmax.autograd import gradient_by_formulas, gradient_memory
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.warnings import warn_of_probabilities
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, is_plain, runs_plainly, scalar
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy.links import Focal, Link
from crossentropy.links.cross_entropy import focal_gamma
from crossentropy.targets import LabelSet, Sparse

INTEGERS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool})


class Options(NamedTuple):
    """Those of `softmax_cross_entropy` that the fast lane knows, under their names there."""

    axis: int
    ignore_index: int | None
    link: Link | None
    label_smoothing: float
    smoothing_prior: Any
    class_weight: Any
    sample_weight: Any
    z_loss: float
    reduction: str
    empty: str
    validate: str
    inplace: bool


class _Target(NamedTuple):
    """Labels, k a row with masses if `several`, or a set of them."""

    indices: Tensor | None
    masses: Tensor | None = None
    mask: Tensor | None = None
    several: bool = False


def row_loss(logits: Any, labels: Any, options: Options, *, warns: bool = False) -> Tensor | None:
    """The loss, or None where the general path has to look at it; with a warning of logits that are probabilities."""
    link, smoothing = options.link, options.label_smoothing
    if (
        not runs_plainly()
        or not _is_usable(logits)
        or logits.dtype not in CODES
        or options.reduction not in ("mean", "sum")
        or options.empty not in ("zero", "nan", "raise")
        or options.validate != "raise"
        or not isinstance(smoothing, (int, float))
        or not 0 <= smoothing <= 1
        or not isinstance(options.z_loss, (int, float))
        or not math.isfinite(options.z_loss)
        or (gamma := 0.0 if link is None else focal_gamma(link)) is None
        or (smoothing and type(link) is Focal)
    ):
        return None
    shape, axis = logits.shape, options.axis
    ndim = len(shape)
    if ndim == 0 or not -ndim <= axis < ndim:
        return None
    axis %= ndim
    rows, classes = shape[:axis] + shape[axis + 1 :], shape[axis]
    target = _target(labels, shape, rows, options)
    if (
        target is None
        or classes == 0
        or not _fits(options.class_weight, (classes,))
        or not _fits(options.smoothing_prior, (classes,))
        or not _fits(options.sample_weight, rows)
    ):
        return None
    given = _given(logits, target, axis, gamma, options)
    value = _RowLoss.apply(logits, labels, given, axis, options)
    if not isinstance(value, Tensor):
        return None
    if warns and given.problem.has_probabilities():
        warn_of_probabilities(logits, axis)
    return value


class _Given(NamedTuple):
    """A native problem, and what it has the addresses of."""

    problem: _native.RowLoss
    logits: Tensor
    target: _Target
    indices: Tensor | None
    mask: Tensor | None
    masses: Tensor | None
    prior: Tensor | None
    class_weight: Tensor | None
    sample_weight: Tensor | None


def _given(logits: Tensor, target: _Target, axis: int, gamma: float, options: Options) -> _Given:
    ignore_index = options.ignore_index
    x, outer, classes, inner, strides = lay_out(TorchMemory, logits, axis)
    y = None if target.indices is None else target.indices.to(torch.int64).contiguous()
    mask = None if target.mask is None else target.mask.contiguous()
    prior, masses = _doubles(options.smoothing_prior), _doubles(target.masses)
    class_weight, sample_weight = options.class_weight, _doubles(options.sample_weight)
    single = class_weight is not None and class_weight.dtype is torch.float32
    class_weight = class_weight.contiguous() if single else _doubles(class_weight)
    problem = _native.RowLoss(
        x.data_ptr(),
        CODES[x.dtype],
        outer,
        classes,
        inner,
        *strides,
        _address(y),
        y.shape[-1] if target.several and y is not None else 1,
        ignore_index is not None,
        ignore_index or 0,
        _address(mask),
        gamma,
        options.label_smoothing,
        _address(prior),
        options.z_loss,
        _address(class_weight),
        single,
        _address(masses),
        _address(sample_weight),
    )
    return _Given(problem, x, target, y, mask, masses, prior, class_weight, sample_weight)


def _is_usable(x: Any) -> bool:
    return isinstance(x, Tensor) and is_plain(x)


def _fits(x: Any, shape: tuple[int, ...]) -> bool:
    """Whether `x` is nothing, or constant numbers in memory, one for each of `shape`."""
    return x is None or (_is_usable(x) and x.shape == shape and x.is_floating_point() and not x.requires_grad)


def _target(labels: Any, shape: tuple[int, ...], rows: tuple[int, ...], options: Options) -> _Target | None:
    """What `labels` are, or None for what is for the general path to judge."""
    if _is_usable(labels):
        return _Target(labels) if labels.dtype in INTEGERS and labels.shape == rows else None
    if isinstance(labels, Sparse):
        y, t = labels.indices, labels.weights
        if not _is_usable(y) or y.dtype not in INTEGERS - {torch.bool} or y.shape[:-1] != rows:
            return None
        return _Target(y, t, several=True) if t is not None and y.shape[-1] and _fits(t, y.shape) else None
    if isinstance(labels, LabelSet):
        m = labels.mask
        refused = (
            options.class_weight is not None or options.label_smoothing or options.ignore_index is not None
        )
        if refused or not _is_usable(m) or m.dtype is not torch.bool or m.shape != shape:
            return None
        return _Target(None, mask=m)
    return None


class _RowLoss(Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Any, given: _Given, axis: int, options: Options
    ) -> Tensor | None:
        problem, x, target, y, mask, *weights = given
        total, mass, least, bad, empty = problem.evaluate(torch.get_num_threads())
        if bad >= 0:
            classes = logits.shape[axis]
            raise bad_label_error(target.indices, bad, classes, options.ignore_index, several=target.several)
        share = 1.0
        if options.reduction == "mean":
            if least < 0:
                return None
            share = 1.0 / mass if mass else 0.0
            total = total / mass if mass else of_nothing(options.empty)
        if empty >= 0:
            return None
        # Held by autograd, which sees if they are changed before the backward pass.
        ctx.save_for_backward(logits, target.indices, mask, *(w for w in weights if w is not None))
        ctx.labels, ctx.axis, ctx.options, ctx.indices = labels, axis, options, y
        ctx.problem, ctx.share = problem, share
        dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
        return scalar(total, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        logits = ctx.saved_tensors[0]
        axis, options = ctx.axis, ctx.options
        if torch.is_grad_enabled() or not is_plain(grad):
            return gradient_by_formulas(_general(logits, ctx.labels, options), grad), None, None, None, None
        x = lay_out(TorchMemory, logits, axis)
        into = lay_out(TorchMemory, gradient_memory(ctx, logits, x.array, options.inplace), axis)
        ctx.problem.pull(
            x.array.data_ptr(),
            float(grad) * ctx.share,
            into.array.data_ptr(),
            CODES[logits.dtype],
            *into.strides,
            torch.get_num_threads(),
        )
        return into.array, None, None, None, None


def _doubles(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous().to(torch.float64)


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _general(logits: Tensor, labels: Any, options: Options) -> SoftmaxProblem:
    """The same loss as the general path knows it."""
    return make_problem(logits, labels, **options._asdict())
