"""The kernels as custom operators, for `torch.compile`.

Dynamo cannot trace a call by address, but it keeps an operator in its graph whose output shapes and gradient are
declared.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy._statistics.problem import Cotangents, Requested, RowStatistics
from crossentropy._statistics.torch import kernels as eager
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
    combine,
    cotangents,
    empty_statistics,
    requested_statistics,
    rows_of,
)

_TENSORS = len(TensorArgs._fields)
# The fields behind it serve parts of the classes, never compiled.
_SETTINGS = StaticArgs._fields.index("validate") + 1
# By name: Dynamo of PyTorch 2.6 traces no slices of named tuples.
_PLAIN = StaticArgs._fields[: StaticArgs._fields.index("requested")]
_ARGUMENTS = _TENSORS + _SETTINGS


def statistics(settings: StaticArgs, tensors: TensorArgs) -> list[Tensor]:
    """Compute the statistics of a problem, in the order of `requested_statistics`."""
    return _row_statistics(*tensors, *flatten_settings(settings))


def flatten_settings(settings: StaticArgs) -> tuple[Any, ...]:
    """Flatten the settings into arguments of the types that an operator may take."""
    requested = settings.requested
    flags = [requested.log_partition, requested.entropy, requested.argmax, requested.rank]
    return (*(getattr(settings, name) for name in _PLAIN), flags, settings.validate)


def unflatten_settings(args: Sequence[Any]) -> StaticArgs:
    """Invert `flatten_settings`."""
    *plain, flags, validate = args
    return StaticArgs._make([*plain, Requested(*flags), validate, None, False])


def _joined(args: tuple[Any, ...]) -> tuple[StaticArgs, TensorArgs]:
    """Unpack the operator's arguments."""
    return unflatten_settings(args[_TENSORS:]), TensorArgs(*args[:_TENSORS])


# The tensors of a problem except the logits, and its settings, in an operator's schema.
PROBLEM = (
    "Tensor? dense, Tensor? temperature, Tensor? logit_bias, Tensor? margin, Tensor? indices, Tensor? mask, "
    "Tensor? class_weight, Tensor? prior, int axis, bool several, int? ignore_index, float? softcap, "
    "float temperature_value, float? margin_value, bool has_prior, bool[] wanted, bool validate"
)
GRADIENTS = "Tensor[] planes, Tensor[] grads, bool[] has_grad, bool[] needs"


@torch.library.custom_op(
    "crossentropy::row_statistics", mutates_args=(), schema=f"(Tensor logits, {PROBLEM}) -> Tensor[]"
)
def _row_statistics(*args: Any) -> list[Tensor]:
    """Run the forward kernel as an operator."""
    settings, tensors = _joined(args)
    return own_outputs(eager.forward(settings, tensors), settings, tensors)


@_row_statistics.register_fake
def _(*args: Any) -> list[Tensor]:
    settings, tensors = _joined(args)
    return fake_statistics(settings, tensors, rows_of(settings, tensors.logits), tensors.logits.device)


def fake_statistics(
    settings: StaticArgs, tensors: TensorArgs, rows: tuple[int, ...], device: torch.device
) -> list[Tensor]:
    """Make what an operator returns of the compiler's fake tensors."""
    target, _, _ = combine(settings, tensors)
    stats = empty_statistics(target, settings.has_prior, settings.requested, rows, device)
    return own_outputs(stats, settings, tensors)


def own_outputs(stats: RowStatistics, settings: StaticArgs, tensors: TensorArgs) -> list[Tensor]:
    """List the statistics as an operator's results, which may not be views of one another."""
    return [getattr(stats, name).clone() for name in requested_statistics(settings, tensors)]


@torch.library.custom_op(
    "crossentropy::row_pullback",
    mutates_args=(),
    schema=f"({GRADIENTS}, Tensor logits, {PROBLEM}) -> Tensor[]",
)
def _row_pullback(
    stats: list[Tensor], grads: list[Tensor], has_grad: list[bool], needs: list[bool], *args: Any
) -> list[Tensor]:
    """Run the backward kernel as an operator; returns the gradients that are needed, in the inputs' order."""
    settings, tensors = _joined(args)
    upstream = upstream_of(settings, tensors, grads, has_grad)
    gradients = eager.backward(settings, tensors, as_statistics(stats, settings, tensors), upstream, needs)
    return [x for x in gradients if x is not None]


def upstream_of(
    settings: StaticArgs, tensors: TensorArgs, grads: Sequence[Tensor], has_grad: Sequence[bool]
) -> Cotangents:
    """Name the upstream gradients; `grads` holds only those whose flag in `has_grad` is set."""
    present = iter(grads)
    names = requested_statistics(settings, tensors)
    return cotangents(names, [next(present) if here else None for here in has_grad])


@_row_pullback.register_fake
def _(stats: Any, grads: Any, has_grad: Any, needs: list[bool], *args: Any) -> list[Tensor]:
    _, tensors = _joined(args)
    return [
        torch.empty_like(x)
        for x, requested in zip(tensors[:LEARNABLE], needs, strict=True)
        if requested and x is not None
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    settings, tensors = _joined(inputs)
    ctx.settings = settings
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    tensors, stats = TensorArgs(*ctx.saved_tensors[:_TENSORS]), list(ctx.saved_tensors[_TENSORS:])
    needs = [bool(x) for x in ctx.needs_input_grad[:LEARNABLE]]
    gradients = pullback(_row_pullback, stats, grads, needs, *tensors, *flatten_settings(ctx.settings))
    return (*gradients, *(None,) * (_ARGUMENTS - LEARNABLE))


def pullback(
    operator: Callable[..., list[Tensor]],
    stats: list[Tensor],
    grads: list[Tensor | None],
    needs: list[bool],
    *problem: Any,
) -> list[Tensor | None]:
    """Run a pullback operator and put each gradient in the place of its input, None where not needed."""
    present, has_grad = [g for g in grads if g is not None], [g is not None for g in grads]
    gradients = iter(operator(stats, present, has_grad, needs, *problem))
    return [next(gradients) if need else None for need in needs]


_row_statistics.register_autograd(_backward, setup_context=_setup)
