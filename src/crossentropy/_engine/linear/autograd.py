"""Linear heads of PyTorch tensors, by one of two strategies.

If the loss is one number whose gradient goes to the head alone, the gradient is computed in the forward pass: the
logits of a block are overwritten in-place by their own gradient, which is multiplied out and dropped (three products
per logit). In all other cases the statistics of the rows are saved, and the backward pass recomputes the logits (four
products).
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
from crossentropy._backends.modes import is_compiling
from crossentropy._engine.linear.problem import (
    LinearProblem,
    row_parts,
    rows_of_problem,
    with_rows,
)
from crossentropy._engine.reductions import divisor, inverse, mean_of, of_nothing
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.autograd import LossKernels, kernels_for, tensors_of
from crossentropy._engine.softmax.fused_cuda import on_device
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._engine.softmax.terms import (
    dense_masses,
    excluded_rows,
    not_ignored_rows,
    row_masses,
    weigh_rows,
)
from crossentropy._statistics import Requested, RowStatistics
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.memory_torch import CODES, is_plain, rounded
from crossentropy._statistics.head import rows as head_rows
from crossentropy._statistics.head.gradients import HeadGradients
from crossentropy._statistics.head.head import Head
from crossentropy._statistics.head.products import aligned_copy, product
from crossentropy._statistics.head.tiles import rows_in_a_block, write_tiles
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.kernels import kernels_serve
from crossentropy._statistics.torch.problem import partition
from crossentropy.links.link import has_no_arrays

BUFFER = 256 << 20  # most bytes of a block's logits
TRAFFIC = 512  # rows of a block that make the traffic of the weight's gradient small beside its product
ON_DEVICE = (1 << 30, 8192)  # the same two on a GPU
FEW = 64  # fewest rows for which a product is efficient


def loss(linear: LinearProblem, memory_budget: int | None, skip_below: float = 0.0) -> Tensor:
    """Compute the loss of a linear head, differentiably: 0-d, or with reduction "none" in the shape of the rows."""
    head, problem = _head_of_problem(linear), linear.problem
    if skip_below:
        check_fixed(problem, skip_below)
    kernels = kernels_for(*head.factors, head.bias, *tensors_of(problem))
    if _compiles(head) or (kernels is not None and (problem.reduction == "none" or _learns(problem))):
        # Compiled, the statistics stand behind a custom operator that recomputes the logits backward. Eager, a gradient
        # computed in the forward pass serves one upstream number and the head alone: rows with upstream gradients of
        # their own, and other inputs that learn, recompute as well.
        value = _recomputed(head, problem, skip_below)
    elif kernels is None:
        # Functional transforms, forward-mode autodiff, subclasses, other devices: formulas on all the logits.
        value = loss_by_autodiff(problem.with_logits(head.whole()))
    else:
        # The gradient in the forward pass saves one product of four. It needs a gradient to be wanted and a block of
        # rows to fit the budget; `skip_below` needs the log-partition of all classes first, and so recomputes.
        head, problem = _rows_that_count(head, problem)
        height = None if skip_below else _rows_at_once(head, problem, memory_budget)
        if height is None:
            value = _recomputed(head, problem, skip_below)
        else:
            value = _LinearLoss.apply(kernels, problem, height, len(head.factors), *head.factors, head.bias)
    return linear.unflatten_rows(value) if problem.reduction == "none" else value


def _compiles(head: Head) -> bool:
    """Tell whether `torch.compile` is tracing, for a device and dtype that the custom operators serve."""
    x = head.factors[0]
    return is_compiling() and x.device.type in ("cpu", "cuda") and x.dtype in CODES


def _recomputed(head: Head, problem: SoftmaxProblem, skip_below: float) -> Tensor:
    """Compute the loss from the statistics; its backward pass recomputes the logits."""
    return loss_by_autodiff(
        problem, statistics=_statistics_of(head, skip_below), row_losses=_row_losses_of(head)
    )


def check_fixed(problem: SoftmaxProblem, skip_below: float) -> None:
    """Raise ValueError if a temperature, bias or margin learns: `skip_below` skips a part of its gradient."""
    for name in ("temperature", "logit_bias", "margin"):
        if getattr(getattr(problem.transform, name), "requires_grad", False):
            raise ValueError(
                f"skip_below is {skip_below} and {name} learns, whose gradient is made of every class; "
                "leave one of them out"
            )


def _learns(problem: SoftmaxProblem) -> bool:
    """Tell whether inputs other than the head may have a gradient, or divisor or link depend on the row."""
    learning = [x for x in (*problem.other_inputs, problem.normalizer) if isinstance(x, Tensor)]
    return (
        any(x.requires_grad for x in learning)
        or not isinstance(problem.normalizer, (str, int, float))
        or not has_no_arrays(problem.link)
    )


def _rows_that_count(head: Head, problem: SoftmaxProblem) -> tuple[Head, SoftmaxProblem]:
    """Drop the excluded rows from the products, and fix the mean's divisor.

    On a GPU, where the host would have to wait for the mask, all rows remain.
    """
    N = _denominator(problem)
    out = excluded_rows(problem)
    if out is not None and is_true(out.any()):
        rows = (~out).nonzero()[:, 0]
        head = Head(tuple(y for x, M in head.pairs for y in (x.index_select(0, rows), M)), head.bias)
        parts = {name: x[rows] for name, x in row_parts(problem).items()}
        problem = with_rows(problem, parts, len(rows))
    return head, replace(problem, reduction="mean", normalizer=N)


def statistics(linear: LinearProblem, requested: Requested) -> RowStatistics:
    """Compute the statistics of a head's rows, differentiably."""
    head = _head_of_problem(linear)
    problem = replace(linear.problem, requested=requested)
    if kernels_serve(*head.factors, head.bias, *tensors_of(problem)):
        return _statistics_of(head)(problem)
    return find_statistics(problem.with_logits(head.whole()))


def in_autocast(*tensors: Tensor | None) -> list[Tensor | None]:
    """Cast the tensors of a product as autocast would, if it is enabled; float64 stays."""
    kind = next(x.device.type for x in tensors if x is not None)
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [x if x is None or x.dtype == torch.float64 else x.to(dtype) for x in tensors]


def head_of(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, low_rank: tuple[Tensor, Tensor] | None
) -> Head:
    """Make the head of ``hidden (W + B A)ᵀ + bias``, with the low-rank update ``(A, B)`` kept as factors."""
    if low_rank is None:
        return Head((hidden, weight), bias)
    down, up = low_rank
    return Head((hidden, weight, product(hidden, down.T), up), bias)


def _head_of_problem(linear: LinearProblem) -> Head:
    """Make the head of a problem, with all of its factors."""
    head = head_of(linear.hidden, linear.weight, linear.bias, linear.low_rank)
    return Head((*head.factors, *linear.more_factors), head.bias)


def _statistics_of(head: Head, skip_below: float = 0.0) -> Callable[[SoftmaxProblem], RowStatistics]:
    """Return the function that computes a problem's statistics by blocks of the head's logits."""

    def find(problem: SoftmaxProblem) -> RowStatistics:
        requested = replace(problem.requested, log_partition=True) if skip_below else problem.requested
        settings, tensors = partition(
            None, 1, problem.target, problem.transform, problem.prior, requested, False
        )
        return head_rows.statistics(settings, head, tensors, skip_below)

    return find


def _row_losses_of(head: Head) -> Callable[[SoftmaxProblem], tuple[Tensor, Tensor]]:
    """Return the function for links that act on every class, by blocks of rows that are recomputed backward."""

    def find(problem: SoftmaxProblem) -> tuple[Tensor, Tensor]:
        def of_block(rows: slice, bias: Tensor | None, *factors: Tensor) -> tuple[Tensor, Tensor]:
            z = Head(factors, bias).whole()
            return per_class.row_losses(rows_of_problem(problem, rows, z))

        results, height = [], rows_in_a_block(head)
        for block in slices(head.rows, height):
            # Its end may lie beyond the rows: of an end that is a size, a compiler would make a constant.
            rows = slice(block.start, block.start + height)
            factors = [y for x, M in head.pairs for y in (x[rows], M)]
            results.append(checkpoint(of_block, rows, head.bias, *factors, use_reentrant=False))
        losses, masses = zip(*results, strict=True)
        return torch.cat(losses), torch.cat(masses)

    return find


def _rows_at_once(head: Head, problem: SoftmaxProblem, memory_budget: int | None) -> int | None:
    """Choose the rows in a block whose gradient is computed in the forward pass; None to recompute backward instead.

    A block of R rows costs 6RDV operations, and reading and writing the weight's gradient costs 8DV bytes: at R = 512
    the latter takes a fiftieth of the time on a processor that does five operations in the time of a byte.

    float16 always recomputes: much of a mean's gradient underflows in that dtype until the upstream gradient, a loss
    scale, multiplies it.
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
    """Compute the divisor of the mean, which does not depend on the logits: a number, or 0-d on a GPU."""
    if problem.reduction == "sum":
        return 1.0
    target, known = problem.target, RowStatistics()
    like = torch.empty(problem.rows, dtype=torch.float64, device=problem.device)
    if target.dense is not None:
        # By blocks of rows, for in float64 the masses take as much as the logits.
        blocks = (target.dense[rows] for rows in slices(len(target.dense), FEW))
        known.dense_total = torch.cat(
            [dense_masses(replace(problem, target=replace(target, dense=t))) for t in blocks]
        )
    masses, signed = row_masses(problem, known), problem.signed_weights
    weights = problem.sample_weight if masses is None else weigh_rows(problem, masses)
    N = divisor(like, weights, not_ignored_rows(problem), problem.normalizer, signed=signed)
    return float(N) if N.device.type == "cpu" else N


class _LinearLoss(Function):
    """The mean loss of a head, whose gradient is computed in the forward pass.

    The first backward pass multiplies that by the upstream gradient in-place and gives it away. Every further one, and
    one that is itself differentiated, starts again from the head.
    """

    @staticmethod
    def forward(
        ctx: Any, kernels: LossKernels, problem: SoftmaxProblem, height: int, count: int, *inputs: Any
    ) -> Tensor:
        head = Head(inputs[:count], inputs[count])
        N = problem.normalizer
        inverse_N, sums = inverse(N), None
        if isinstance(inverse_N, Tensor) or inverse_N:
            sums = HeadGradients(head, ctx.needs_input_grad[4:], height)
            sums.begin(slice(0, head.classes))
        # Reused memory stays allocated. In half precision the sums are rounded into new memory at the end, and the
        # buffer would add to the peak.
        buffer = head.room(height, head.classes, keep=head.dtype.itemsize > 2)
        total: float | Tensor = 0.0
        for rows in slices(head.rows, height):
            z = buffer[: rows.stop - rows.start]
            write_tiles(head, rows, z)
            block = rows_of_problem(problem, rows, z)
            own: Any = kernels.for_problem(block)  # links that act on every class recompute
            result = own.evaluate(block)
            total = total + result.value
            if sums is not None:
                sums.add(
                    rows,
                    aligned_copy(own.gradient(block, z, result, inverse_N, into=z), z),
                    block.target.labels,
                )
        ctx.problem, ctx.count, ctx.sums = problem, count, sums
        ctx.save_for_backward(*inputs)
        dtype = loss_dtype(head.factors[0])
        if isinstance(total, Tensor):
            return mean_of(total, on_device(N, total), problem.empty).to(dtype)
        value = float(total * inverse_N) if inverse_N else of_nothing(problem.empty)
        return rounded(value, dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, requested = ctx.saved_tensors, ctx.needs_input_grad[4:]
        sums, ctx.sums = ctx.sums, None
        device = grad.device.type
        if sums is not None and not torch.is_grad_enabled() and is_plain(grad, device):
            return (None, None, None, None, *sums.of_one_tile(float(grad) if device == "cpu" else grad))

        def value(*inputs: Any) -> list[Tensor]:
            statistics = _statistics_of(Head(inputs[: ctx.count], inputs[ctx.count]))
            return [loss_by_autodiff(ctx.problem, statistics=statistics)]

        return (None, None, None, None, *gradients(value, inputs, requested, [grad]))
