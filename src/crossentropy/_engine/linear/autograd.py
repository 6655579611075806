"""Linear heads of PyTorch tensors, by one of two strategies.

Where the loss is one number and its gradient goes to the head alone, the gradient is worked out on the way forward: the
logits of some rows become their own gradient, which is multiplied out and forgotten (three products for every logit).
Everything else saves the statistics of the rows and makes the logits once more on the way back (four products).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.utils.checkpoint import checkpoint

from crossentropy._backends import loss_dtype
from crossentropy._backends.conditions import is_true
from crossentropy._engine.linear.problem import (
    LinearProblem,
    row_parts,
    rows_of_problem,
    shape_alone,
    with_rows,
)
from crossentropy._engine.reductions import mean_of, of_nothing
from crossentropy._engine.softmax import evaluate_cuda, per_class
from crossentropy._engine.softmax.autodiff import composed
from crossentropy._engine.softmax.autograd import Engine, engine, other_inputs, tensors_of
from crossentropy._engine.softmax.evaluate import normalizer
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import mass_term, rows_left_out, target_shares
from crossentropy._statistics import Planes, Wanted, row_statistics
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, is_compiled, is_plain, rounded
from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import Head, derivatives
from crossentropy._statistics.head.products import brought, product
from crossentropy._statistics.head.rows import statistics
from crossentropy._statistics.head.tiles import rows_in_a_block, write_tiles
from crossentropy._statistics.torch.kernels import own_kernels_apply
from crossentropy._statistics.torch.problem import split
from crossentropy.links.link import holds_numbers_alone

BUFFER = 256 << 20  # bytes of logits at once, at most
TRAFFIC = 512  # rows beside whose product reading and writing the weight's gradient is next to nothing
ON_DEVICE = (1 << 30, 8192)  # the same two on a GPU
FEW = 64  # rows under which a product is no longer worth its name


def loss(given: LinearProblem, memory_budget: int | None, skip_below: float = 0.0) -> Tensor:
    """The loss of a linear head, differentiable."""
    head, problem = head_of(given.hidden, given.weight, given.bias, given.low_rank), given.problem
    if skip_below:
        check_fixed(problem, skip_below)
    own = engine(*head.factors, head.bias, *tensors_of(problem))
    if _compiles(head) or (own is not None and (problem.reduction == "none" or _learns(problem))):
        value = _recomputed(head, problem, skip_below)
    elif own is None:
        value = composed(replace(problem, logits=head.whole()))
    else:
        head, problem = _rows_that_count(head, problem)
        height = None if skip_below else _rows_at_once(head, problem, memory_budget)
        if height is None:
            value = _recomputed(head, problem, skip_below)
        else:
            value = _LinearLoss.apply(own, problem, height, len(head.factors), *head.factors, head.bias)
    return given.shaped(value) if problem.reduction == "none" else value


def _compiles(head: Head) -> bool:
    """Whether this is being compiled, for a device whose kernels stand behind an operator."""
    x = head.factors[0]
    return is_compiled() and x.device.type in ("cpu", "cuda") and x.dtype in CODES


def _recomputed(head: Head, problem: SoftmaxProblem, skip_below: float) -> Tensor:
    """The loss from statistics, for whose gradient the logits are made again."""
    return composed(problem, statistics=_statistics_of(head, skip_below), row_losses=_row_losses_of(head))


def check_fixed(problem: SoftmaxProblem, skip_below: float) -> None:
    """Refuse a transform that learns from what `skip_below` leaves out."""
    for name in ("temperature", "logit_bias", "margin"):
        if getattr(getattr(problem.transform, name), "requires_grad", False):
            raise ValueError(
                f"skip_below is {skip_below} and {name} learns, whose gradient is made of every class; "
                "leave one of them out"
            )


def _learns(problem: SoftmaxProblem) -> bool:
    """Whether more than the head may have a gradient, or rows have divisors of their own."""
    learning = [x for x in (*other_inputs(problem), problem.normalizer) if isinstance(x, Tensor)]
    return (
        any(x.requires_grad for x in learning)
        or not isinstance(problem.normalizer, (str, int, float))
        or not holds_numbers_alone(problem.link)
    )


def _rows_that_count(head: Head, problem: SoftmaxProblem) -> tuple[Head, SoftmaxProblem]:
    """The same mean, its divisor known, of the rows that are neither ignored nor without weight.

    On a device that would have to be waited for, it is of all rows.
    """
    N = _denominator(problem)
    out = rows_left_out(problem)
    if out is not None and is_true(out.any()):
        rows = (~out).nonzero()[:, 0]
        head = Head(tuple(y for x, M in head.pairs for y in (x.index_select(0, rows), M)), head.bias)
        shape = shape_alone(head.factors[0], (len(rows), head.classes))
        problem = with_rows(problem, {name: x[rows] for name, x in row_parts(problem).items()}, shape)
    return head, replace(problem, reduction="mean", normalizer=N)


def planes(given: LinearProblem, wanted: Wanted) -> Planes:
    """The statistics of its rows, differentiable."""
    head = head_of(given.hidden, given.weight, given.bias, given.low_rank)
    problem = replace(given.problem, wanted=wanted)
    if own_kernels_apply(*head.factors, head.bias, *tensors_of(problem)):
        return _statistics_of(head)(problem)
    return row_statistics(head.whole(), 1, problem.target, problem.transform, None, wanted, validate=False)


def in_autocast(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors of a product in the dtype that autocast would give them, if it is on."""
    kind = next(x.device.type for x in tensors if x is not None)
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [x if x is None or x.dtype == torch.float64 else x.to(dtype) for x in tensors]


def head_of(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, low_rank: tuple[Tensor, Tensor] | None
) -> Head:
    """The head whose weight is ``W + B A``, which are not added up."""
    if low_rank is None:
        return Head((hidden, weight), bias)
    down, up = low_rank
    return Head((hidden, weight, product(hidden, down.T), up), bias)


def _statistics_of(head: Head, skip_below: float = 0.0) -> Callable[[SoftmaxProblem], Planes]:
    def find(problem: SoftmaxProblem) -> Planes:
        wanted = replace(problem.wanted, log_partition=True) if skip_below else problem.wanted
        settings, tensors = split(
            problem.logits, 1, problem.target, problem.transform, problem.prior, wanted, False
        )
        return statistics(settings, head, tensors, skip_below)

    return find


def _row_losses_of(head: Head) -> Callable[[SoftmaxProblem], tuple[Tensor, Tensor]]:
    """What a link makes of every class, by blocks of rows that are worked out again on the way back."""

    def find(problem: SoftmaxProblem) -> tuple[Tensor, Tensor]:
        def of_block(rows: slice, bias: Tensor | None, *factors: Tensor) -> tuple[Tensor, Tensor]:
            z = Head(factors, bias).whole()
            return per_class.row_losses(rows_of_problem(problem, rows, z))

        found = []
        for rows in slices(head.rows, rows_in_a_block(head)):
            factors = [y for x, M in head.pairs for y in (x[rows], M)]
            found.append(checkpoint(of_block, rows, head.bias, *factors, use_reentrant=False))
        losses, masses = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(masses)

    return find


def _rows_at_once(head: Head, problem: SoftmaxProblem, memory_budget: int | None) -> int | None:
    """How many rows have their gradient worked out at once on the way forward; None if that is not to be done.

    A block of R rows costs 6RDV operations, and reading and writing the weight's gradient, 8DV bytes: at R = 512 these
    take a fiftieth of the time on a processor that does five operations in the time of a byte.

    In float16 it never is: much of the gradient of a mean is too small for that dtype until the upstream gradient, a
    loss scale, has multiplied it.
    """
    if (
        not torch.is_grad_enabled()
        or problem.acts_per_class
        or head.dtype == torch.float16
        or not any(x.requires_grad for x in (*head.factors, head.bias) if x is not None)
    ):
        return None
    M, itemsize = head.factors[1], head.factors[0].dtype.itemsize
    row = head.classes * itemsize
    buffer, traffic = (BUFFER, TRAFFIC) if M.device.type == "cpu" else ON_DEVICE
    height = max(FEW, min(traffic * 4 // min(itemsize, 4), buffer // row))
    if memory_budget is not None:
        accumulators = 4 * M.numel() if itemsize == 2 and M.requires_grad else 0
        height = min(height, (int(memory_budget) - accumulators) // row)
    height = min(height, max(head.rows, 1))
    return height if height >= min(FEW, max(head.rows, 1)) else None


def _denominator(problem: SoftmaxProblem) -> float | Tensor:
    """What the sum of the rows' losses is divided by, which no logit has a say in."""
    if problem.reduction == "sum":
        return 1.0
    target, known = (
        problem.target,
        Planes(log_odds=torch.empty(0, dtype=torch.float64, device=problem.logits.device)),
    )
    if target.dense is not None:
        a = target.dense if problem.class_weight is None else target.dense * problem.class_weight
        known.dense_total = a.sum(1, dtype=torch.float64)
    if problem.logits.device.type != "cpu":
        return evaluate_cuda.denominator(problem, known)
    mass = mass_term(problem, known, target_shares(problem))
    return float(normalizer(problem, mass, problem.rows[0], TorchMemory))


def _share_of(N: float | Tensor) -> float | Tensor:
    """``1 / N``, and 0 where there is nothing to divide by."""
    if isinstance(N, Tensor):
        return evaluate_cuda.inverse(N)
    return 0.0 if N == 0 else 1.0 / N


class _LinearLoss(Function):
    """From a head to its loss, with the gradient worked out on the way.

    The first backward pass multiplies it by the upstream gradient where it lies and gives it away; any further one, and
    one that is to be differentiated itself, starts anew from the head.
    """

    @staticmethod
    def forward(
        ctx: Any, own: Engine, problem: SoftmaxProblem, height: int, count: int, *inputs: Any
    ) -> Tensor:
        head = Head(inputs[:count], inputs[count])
        N = problem.normalizer
        share, sums = _share_of(N), None
        if isinstance(share, Tensor) or share:
            sums = HeadGradients(head, ctx.needs_input_grad[4:], height)
            sums.begin(slice(0, head.classes))
        # In half precision it would still be there when the sums of gradients are rounded into memory of their own.
        buffer = head.room(height, head.classes, keep=head.dtype.itemsize > 2)
        total: float | Tensor = 0.0
        for rows in slices(head.rows, height):
            z = buffer[: rows.stop - rows.start]
            write_tiles(head, rows, z)
            block = rows_of_problem(problem, rows, z)
            found = own.evaluate(block)
            total = total + found.value
            if sums is not None:
                sums.add(rows, brought(own.gradient(block, z, found, share, into=z), z), block.target.labels)
        ctx.problem, ctx.count, ctx.sums = problem, count, sums
        ctx.save_for_backward(*inputs)
        dtype = loss_dtype(head.factors[0])
        if isinstance(total, Tensor):
            return mean_of(total, evaluate_cuda.on_device(N, total), problem.empty).to(dtype)
        value = float(total * share) if share else of_nothing(problem.empty)
        return rounded(value, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, asked = ctx.saved_tensors, ctx.needs_input_grad[4:]
        sums, ctx.sums = ctx.sums, None
        device = grad.device.type
        if sums is not None and not torch.is_grad_enabled() and is_plain(grad, device):
            return (None, None, None, None, *sums.of_one_tile(float(grad) if device == "cpu" else grad))
        found = derivatives(
            lambda head: composed(ctx.problem, statistics=_statistics_of(head)),
            Head(inputs[: ctx.count], inputs[ctx.count]),
            asked,
            grad,
            create_graph=torch.is_grad_enabled(),
        )
        return (None, None, None, None, *found)
