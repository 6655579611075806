"""The statistics of rows with one label under functional transforms, by the kernels: grad, vmap, jvp, higher orders.

The statistics and their pullback are two autograd Functions with derivatives of their own. For the log-odds
``D = ln Σ_{c≠y} e^{u_c} − u_y`` of ``u = z/T + b`` and a vector ``v``, with ``w = T ∂D/∂z`` (the softmax ``π`` over the
other classes, and −1 at ``y``),

    (∂D/∂z) · v = w · v / T        (∂²D/∂z²) v = π ⊙ (v − π · v) / T²,  0 at y,

so a second derivative reads the logits once more. In eager mode a kernel has those of all statistics; under transforms
those of others than the log-odds are left to the formulas.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_nested_forward_mode
from crossentropy._kernels import COMPILED
from crossentropy._statistics import formulas
from crossentropy._statistics.cpu.memory_torch import CODES, in_memory, innermost, is_plain
from crossentropy._statistics.problem import DIFFERENTIABLE, RowStatistics
from crossentropy._statistics.torch.gradients import by_formulas, gradients
from crossentropy._statistics.torch.kernels import backward, cpu_kernels_serve, forward, row_curvature
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    combine,
    cotangents,
    requested_statistics,
)

Values = tuple[Tensor, ...]
INPUTS = len(TensorArgs._fields)
#: Entries of the logits up to which formulas are faster: each Function costs a transform some 0.2 ms.
SMALL = 1 << 15


def transforms_serve(settings: StaticArgs, tensors: TensorArgs) -> bool:
    """Tell whether these Functions serve a problem: large, one label a row, no other tensor that a transform sees."""
    if torch.compiler.is_compiling():  # first: Dynamo of PyTorch 2.9 traces no `all` of what is below
        return False
    batched = (tensors.logits, tensors.indices)
    constants = [x for x in tensors if x is not None and not any(x is y for y in batched)]
    return (
        COMPILED
        and not settings.several
        and not settings.foreign
        and all(x is not None and is_plain(innermost(x)) for x in batched)
        and tensors.logits.dtype in CODES
        and innermost(tensors.logits).numel() > SMALL
        and tensors.dense is None
        and (tensors.temperature is None or tensors.temperature.ndim == 0)
        and all(is_plain(x) and not x.requires_grad for x in constants)
        and not torch._C._is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        and not is_nested_forward_mode()
    )


def statistics(settings: StaticArgs, tensors: TensorArgs) -> RowStatistics:
    """Compute the statistics of every row, with derivatives of any order by the logits."""
    return as_statistics(_Statistics.apply(settings, *tensors), settings, tensors)


class _Statistics(Function):
    """From the tensors of a problem to its statistics."""

    @staticmethod
    def forward(settings: StaticArgs, *inputs: Any) -> Values:
        tensors = TensorArgs(*inputs)
        stats = forward(settings, tensors)
        # copies, for they are views of one tensor, and views made here cannot have tangents
        return tuple(getattr(stats, name).clone() for name in requested_statistics(settings, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Values) -> None:
        ctx.settings, *tensors = inputs
        names = requested_statistics(ctx.settings, TensorArgs(*tensors))
        ctx.mark_non_differentiable(
            *(x for name, x in zip(names, output, strict=True) if name not in DIFFERENTIABLE)
        )
        ctx.save_for_backward(*tensors, *output)
        ctx.save_for_forward(*tensors, *output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors, stats = TensorArgs(*ctx.saved_tensors[:INPUTS]), ctx.saved_tensors[INPUTS:]
        names = requested_statistics(ctx.settings, tensors)
        return None, pullback(ctx.settings, tensors, stats, names, grads), *[None] * (INPUTS - 1)

    @staticmethod
    def jvp(ctx: Any, _settings: None, tangent: Tensor, *_others: Any) -> tuple[Tensor | None, ...]:
        tensors, stats = TensorArgs(*ctx.saved_tensors[:INPUTS]), ctx.saved_tensors[INPUTS:]
        found: list[Tensor | None] = []
        for name in requested_statistics(ctx.settings, tensors):
            if name not in DIFFERENTIABLE:
                found.append(None)
                continue
            slope = _slope(ctx.settings, tensors, stats, name)
            found.append((slope * tangent).sum(ctx.settings.axis, dtype=torch.float64))
        return tuple(found)

    @staticmethod
    def vmap(info: Any, in_dims: Any, settings: StaticArgs, *inputs: Any) -> tuple[Values, tuple[int, ...]]:
        settings, folded = _folded(info, in_dims[1:], settings, inputs)
        outputs = _Statistics.apply(settings, *folded)
        return outputs, (0,) * len(outputs)


def pullback(
    settings: StaticArgs,
    tensors: TensorArgs,
    stats: Sequence[Tensor],
    names: Sequence[str],
    grads: Sequence[Tensor | None],
) -> Tensor:
    """Compute the gradient by the logits of statistics of these names, with derivatives of any order."""
    upstream = [g if name in DIFFERENTIABLE else None for name, g in zip(names, grads, strict=True)]
    found: Tensor = _Pullback.apply(settings, *tensors, *stats, *upstream)
    return found


class _Pullback(Function):
    """From the tensors of a problem, its statistics and upstream gradients of these to the gradient by the logits."""

    @staticmethod
    def forward(settings: StaticArgs, *inputs: Any) -> Tensor:
        tensors, names, stats, upstream = _parts(settings, inputs)
        grads = [None if g is None else in_memory(g) for g in upstream]
        if not all(g is None or is_plain(g) for g in grads):  # batches of is_grads_batched=True
            used = {name: g for name, g in zip(names, grads, strict=True) if g is not None}

            def value(logits: Tensor) -> list[Any]:
                return by_formulas(settings, tensors._replace(logits=logits), list(used), list(used.values()))

            found = gradients(value, [tensors.logits], [True], list(used.values()))[0]
            assert found is not None  # which is asked for
            return found
        needs = (True, *[False] * (LEARNABLE - 1))
        own = as_statistics([x.contiguous() for x in stats], settings, tensors)  # a batch may repeat them
        gradient = backward(settings, tensors, own, cotangents(names, grads), needs)[0]
        assert gradient is not None  # which `needs` asks for
        return gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.settings, *rest = inputs
        ctx.save_for_backward(*rest)
        ctx.save_for_forward(*rest)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        tensors, names, stats, grads = _parts(ctx.settings, ctx.saved_tensors)
        by_logits, by_grads = _second_derivative(ctx.settings, tensors, names, stats, grads, v)
        return None, by_logits, *[None] * (INPUTS - 1 + len(stats)), *by_grads

    @staticmethod
    def jvp(ctx: Any, _settings: None, tangent: Tensor | None, *others: Any) -> Tensor:
        tensors, names, stats, grads = _parts(ctx.settings, ctx.saved_tensors)
        of_grads = others[INPUTS - 1 + len(stats) :]
        found = _Pullback.apply(ctx.settings, *tensors, *stats, *of_grads)
        if tangent is None:
            return found
        # the matrix of second derivatives is symmetric
        return found + _second_derivative(ctx.settings, tensors, names, stats, grads, tangent)[0]

    @staticmethod
    def vmap(info: Any, in_dims: Any, settings: StaticArgs, *inputs: Any) -> tuple[Tensor, int]:
        settings, folded = _folded(info, in_dims[1:], settings, inputs)
        return _Pullback.apply(settings, *folded), 0


def _parts(settings: StaticArgs, inputs: Sequence[Any]) -> tuple[TensorArgs, list[str], Values, Values]:
    """Split the inputs of the pullback: tensors, names of the statistics, these, and their upstream gradients."""
    tensors = TensorArgs(*inputs[:INPUTS])
    names = requested_statistics(settings, tensors)
    return tensors, names, tuple(inputs[INPUTS : INPUTS + len(names)]), tuple(inputs[INPUTS + len(names) :])


def _folded(
    info: Any, in_dims: Sequence[int | None], settings: StaticArgs, inputs: Sequence[Any]
) -> tuple[StaticArgs, list[Any]]:
    """Make a batch the first axis of the rows, for all inputs that have an entry for every row."""
    of_rows = {0, TensorArgs._fields.index("indices"), *range(INPUTS, len(inputs))}

    def at_front(i: int, x: Any, batch: int | None) -> Any:
        if i not in of_rows or x is None:
            return x
        return x.expand(info.batch_size, *x.shape) if batch is None else x.movedim(batch, 0)

    folded = [at_front(i, x, batch) for i, (x, batch) in enumerate(zip(inputs, in_dims, strict=True))]
    return settings._replace(axis=settings.axis + 1), folded


def _slope(settings: StaticArgs, tensors: TensorArgs, stats: Values, name: str) -> Tensor:
    """Return the derivative of one statistic of each row by the logits."""
    names = requested_statistics(settings, tensors)
    one = torch.ones_like(stats[names.index(name)])
    return _Pullback.apply(settings, *tensors, *stats, *(one if x == name else None for x in names))


def _second_derivative(
    settings: StaticArgs, tensors: TensorArgs, names: Sequence[str], stats: Values, grads: Values, v: Tensor
) -> tuple[Tensor, list[Tensor | None]]:
    """Differentiate ``v · pullback`` by the logits, and by the upstream gradients."""
    if not torch.is_grad_enabled() and settings.softcap is None and cpu_kernels_serve(v, *tensors, *grads):
        by_logits, tangents = row_curvature(settings, tensors, cotangents(names, grads), v)
        found = [None if g is None else getattr(tangents, name) for name, g in zip(names, grads, strict=True)]
        return by_logits, found
    used = [name for name, g in zip(names, grads, strict=True) if g is not None]
    wide = tensors.logits.dtype in (torch.float32, torch.float64)
    if used != ["log_odds"] or settings.softcap is not None or not wide:
        return _by_formulas(settings, tensors, used, names, grads, v)
    axis, T = settings.axis, settings.temperature if tensors.temperature is None else tensors.temperature
    slope = _slope(settings, tensors, stats, "log_odds")
    classes = slope.shape[axis]
    label = tensors.indices.long().clamp(0, max(classes - 1, 0)).unsqueeze(axis)
    others = slope.scatter(axis, label, 0.0)  # π/T
    mean = (others * v).sum(axis, keepdim=True, dtype=torch.float64).to(v.dtype)
    upstream = grads[names.index("log_odds")].unsqueeze(axis).to(v.dtype)
    by_upstream = (slope * v).sum(axis, dtype=torch.float64)
    return upstream * others * (v - T * mean) / T, [
        by_upstream if name == "log_odds" else None for name in names
    ]


def _by_formulas(
    settings: StaticArgs,
    tensors: TensorArgs,
    used: Sequence[str],
    names: Sequence[str],
    grads: Values,
    v: Tensor,
) -> tuple[Tensor, list[Tensor | None]]:
    target, transform, prior = combine(settings, tensors)
    upstream = [g for g in grads if g is not None]

    def values(logits: Tensor) -> Values:
        stats = formulas.statistics(logits, settings.axis, target, transform, prior, settings.requested)
        return tuple(getattr(stats, name) for name in used)

    def pulled(logits: Tensor, *upstream: Tensor) -> Tensor:
        found, pull, *_ = torch.func.vjp(values, logits)
        return pull(tuple(g.to(x.dtype) for g, x in zip(upstream, found, strict=True)))[0]

    by_logits, *by_upstream = torch.func.vjp(pulled, tensors.logits, *upstream)[1](v)
    each = iter(by_upstream)
    return by_logits, [None if g is None else next(each) for g in grads]
