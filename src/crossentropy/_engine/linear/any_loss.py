"""A user's function of logits, applied to blocks of a linear head's rows, for PyTorch tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._statistics.blocks import slices
from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.products import aligned_copy
from crossentropy._statistics.head.tiles import rows_in_a_block
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.kernels import cpu_kernels_serve

RowLosses = Callable[[Tensor, slice], Tensor]


def losses(loss: RowLosses, head: Head) -> Tensor:
    """Apply ``loss(logits, rows)`` to every block of rows, differentiably; returns shape (N,)."""
    if not cpu_kernels_serve(*head.factors, head.bias):
        return _checked(loss(head.whole(), slice(0, head.rows)), slice(0, head.rows))
    return _LinearRows.apply(loss, len(head.factors), *head.factors, head.bias)


def _checked(result: Any, rows: slice) -> Tensor:
    """Return the function's result for some rows, or raise ValueError if it is not one number for each."""
    n = rows.stop - rows.start
    if not isinstance(result, Tensor) or tuple(result.shape) != (n,):
        shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise ValueError(
            f"the loss gave {shape} for {n} rows of logits; it has to give one number for each row, shape ({n},): pass "
            'reduction="none" to what it calls'
        )
    return result


class _LinearRows(Function):
    """The losses of the rows; the backward pass recomputes every block and calls the function on it again."""

    @staticmethod
    def forward(ctx: Any, loss: RowLosses, count: int, *inputs: Any) -> Tensor:
        head = Head(inputs[:count], inputs[count])
        results = [_checked(loss(z, rows), rows) for rows, z in _blocks(head)]
        ctx.loss, ctx.count = loss, count
        ctx.save_for_backward(*inputs)
        return torch.cat(results)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[2:]
        head = Head(inputs[: ctx.count], inputs[ctx.count])
        if torch.is_grad_enabled():

            def value(*inputs: Any) -> list[Tensor]:
                return [ctx.loss(Head(inputs[: ctx.count], inputs[ctx.count]).whole(), slice(0, head.rows))]

            return (None, None, *gradients(value, inputs, needs, [grad]))
        height = rows_in_a_block(head)
        sums, room = HeadGradients(head, needs, height), head.room(height, head.classes)
        sums.begin(slice(0, head.classes))
        for rows, z in _blocks(head):
            with torch.enable_grad():
                z = z.requires_grad_()
                result = ctx.loss(z, rows)
            if result.requires_grad:
                dz = torch.autograd.grad(result, z, grad[rows])[0]
                sums.add(rows, aligned_copy(dz, room[: len(dz)]))
        return (None, None, *sums.of_one_tile())


def _blocks(head: Head) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks of rows and their logits, each in new memory, for the function may keep them."""
    for rows in slices(head.rows, rows_in_a_block(head)):
        z = head.factors[0].new_empty(rows.stop - rows.start, head.classes)
        head.write(rows, slice(0, head.classes), z)
        yield rows, z
