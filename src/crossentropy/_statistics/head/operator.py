"""The statistics of a linear head as a custom operator, so that `torch.compile` never forms all the logits either.

It does for a head what `crossentropy._statistics.torch.operator` does for rows of logits.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crossentropy._statistics.head import passes as eager
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.problem import RowStatistics
from crossentropy._statistics.torch.operator import (
    GRADIENTS,
    PROBLEM,
    fake_statistics,
    flatten_settings,
    own_outputs,
    pullback,
    unflatten_settings,
    upstream_of,
)
from crossentropy._statistics.torch.problem import (
    LEARNABLE,
    StaticArgs,
    TensorArgs,
    as_statistics,
)

_HEAD = 5  # arguments for up to four factors and a bias
_TENSORS = _HEAD + len(TensorArgs._fields) - 1  # and all tensors of the row problem except the logits


def statistics(settings: StaticArgs, head: Head, tensors: TensorArgs) -> RowStatistics:
    """Compute the statistics of the rows of `head`; the tensors have no logits."""
    factors = (*head.factors, None, None)[:4]
    stats = _linear_statistics(*factors, head.bias, *tensors[1:], *flatten_settings(settings))
    return as_statistics(stats, settings, tensors)


def _taken_apart(args: Sequence[Any]) -> tuple[StaticArgs, Head, TensorArgs]:
    """Unpack the operator's arguments."""
    *factors, bias = args[:_HEAD]
    head = Head(tuple(x for x in factors if x is not None), bias)
    return unflatten_settings(args[_TENSORS:]), head, TensorArgs(None, *args[_HEAD:_TENSORS])


_SCHEMA = f"Tensor hidden, Tensor weight, Tensor? reduced, Tensor? up, Tensor? bias, {PROBLEM}"


@torch.library.custom_op(
    "crossentropy::linear_statistics", mutates_args=(), schema=f"({_SCHEMA}) -> Tensor[]"
)
def _linear_statistics(*args: Any) -> list[Tensor]:
    """Run the forward pass as an operator."""
    settings, head, tensors = _taken_apart(args)
    return own_outputs(eager.forward(settings, head, tensors), settings, tensors)


@_linear_statistics.register_fake
def _(*args: Any) -> list[Tensor]:
    settings, head, tensors = _taken_apart(args)
    return fake_statistics(settings, tensors, (head.rows,), head.factors[0].device)


@torch.library.custom_op(
    "crossentropy::linear_pullback", mutates_args=(), schema=f"({GRADIENTS}, {_SCHEMA}) -> Tensor[]"
)
def _linear_pullback(
    stats: list[Tensor], grads: list[Tensor], has_grad: list[bool], needs: list[bool], *args: Any
) -> list[Tensor]:
    """Run the backward pass as an operator; returns the gradients that are needed, in the inputs' order."""
    settings, head, tensors = _taken_apart(args)
    count = len(head.factors)
    gradients = eager.backward(
        settings,
        head,
        tensors,
        as_statistics(stats, settings, tensors),
        upstream_of(settings, tensors, grads, has_grad),
        (*needs[:count], needs[_HEAD - 1]),
        needs[_HEAD:],
    )
    return [x for x in (*gradients.factors, gradients.bias, *gradients.others) if x is not None]


@_linear_pullback.register_fake
def _(stats: Any, grads: Any, has_grad: Any, needs: list[bool], *args: Any) -> list[Tensor]:
    # a weight's gradient has the weight's strides, every other is contiguous
    kept = (False, True, False, True)
    gradients = []
    for i, (x, need) in enumerate(zip(args, needs, strict=False)):
        if need and x is not None:
            form = torch.preserve_format if i < len(kept) and kept[i] else torch.contiguous_format
            gradients.append(torch.empty_like(x, memory_format=form))
    return gradients


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.plain = inputs[_TENSORS:]
    ctx.save_for_backward(*inputs[:_TENSORS], *output)


def _backward(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    inputs, stats = ctx.saved_tensors[:_TENSORS], list(ctx.saved_tensors[_TENSORS:])
    needs = [bool(x) for x in ctx.needs_input_grad[: _HEAD + LEARNABLE - 1]]
    gradients = pullback(_linear_pullback, stats, grads, needs, *inputs, *ctx.plain)
    return (*gradients, *(None,) * (_TENSORS + len(ctx.plain) - len(gradients)))


_linear_statistics.register_autograd(_backward, setup_context=_setup)
