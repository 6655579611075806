"""Softmax losses of tensors on a device that runs behind this program, without a graph.

What `evaluate` is for the memory of the CPU, with every number left where it is: nothing here waits for the device.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import EMPTY_MESSAGE, divisor, mean_of
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.autodiff import counted_rows
from crossentropy._engine.softmax.evaluate import ForwardResult
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import Term
from crossentropy._statistics import Cotangents, RowStatistics
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import TorchMemory
from crossentropy._statistics.torch import kernels as rowwise
from crossentropy._statistics.torch.problem import LEARNABLE, StaticArgs, TensorArgs, partition
from crossentropy.links.cross_entropy import focal_gamma


def row_loss(device: str) -> Any:
    """The module of a device's kernels for common losses; None if it has none."""
    if device != "cuda":
        return None
    from crossentropy._kernels.triton import row_loss

    return row_loss


@dataclass(slots=True, eq=False)
class _InOneLaunch(ForwardResult):
    """A common loss: `slope` is that of the whole loss, `share` what it was divided by."""

    terms: Any = None


def evaluate(problem: SoftmaxProblem) -> ForwardResult:
    """The loss of `problem`, in float64."""
    stats = rowwise.forward(*_taken_apart(problem))
    kernels = row_loss(problem.device.type)
    if kernels is not None and _is_common(problem):
        return _in_one_launch(problem, stats, kernels)
    formula.check_sums(problem, stats.dense_total)
    slope = None if stats.log_odds is None else formula.target_slope(problem, stats)
    losses = formula.weigh_rows(problem, formula.row_losses(problem, stats))
    if problem.reduction == "none":
        return ForwardResult(losses, stats, slope, 1.0)
    if problem.reduction == "sum":
        return ForwardResult(losses.sum(), stats, slope, 1.0)
    N = denominator(problem, stats)
    return ForwardResult(mean_of(losses, N, problem.empty), stats, slope, inverse(N))


def denominator(problem: SoftmaxProblem, stats: RowStatistics) -> Tensor:
    """``N`` of a mean, from the labels or from the masses in `stats`."""
    masses = formula.row_masses(problem, stats)
    if masses is None:
        masses = torch.ones(problem.rows, dtype=torch.float64, device=problem.device)
    masses = formula.weigh_rows(problem, masses)
    return divisor(masses, masses, counted_rows(problem, masses), problem.normalizer)


def inverse(N: Tensor) -> Tensor:
    """``1 / N``, and 0 where there is nothing to divide by."""
    nothing = N == 0
    return torch.where(nothing, 0.0, 1 / torch.where(nothing, 1.0, N))


def on_device(x: Any, like: Tensor) -> Tensor:
    """A number beside `like`, in float64; filled in there, with nothing to be copied."""
    return x.double() if isinstance(x, Tensor) else like.new_full((), x, dtype=torch.float64)


def gradient(
    problem: SoftmaxProblem, logits: Tensor, found: ForwardResult, upstream: Any, into: Tensor | None = None
) -> Tensor:
    """The gradient by `logits`, times `upstream`, written to `into` if there is such memory."""
    problem = problem if problem.logits is logits else replace(problem, logits=logits)
    if into is None:
        into = TorchMemory.empty_like(lay_out(TorchMemory, logits, problem.axis).array)
    settings, tensors = _taken_apart(problem)
    if isinstance(found, _InOneLaunch):
        kernels, upstream = row_loss(logits.device.type), on_device(upstream, logits)
        each = (found.slope, found.stats.log_partition, found.terms, upstream, found.share)
        cotangents = Cotangents(**kernels.slopes_of(*each)._asdict())
    else:
        slopes = formula.row_slopes(problem, found.stats, found.slope)
        share = on_device(upstream * found.share, logits)
        cotangents = Cotangents(
            **{name: sum(_of_rows(problem, term, share) for term in terms) for name, terms in slopes.items()}
        )
    needs = (True, *(False,) * (LEARNABLE - 1))
    return rowwise.backward(settings, tensors, found.stats, cotangents, needs, into)[0]  # type: ignore[return-value]


def _is_common(problem: SoftmaxProblem) -> bool:
    """Whether the loss is one that the kernels of `row_loss` know."""
    N, target = problem.normalizer, problem.target
    return (
        focal_gamma(problem.link) is not None
        and target.dense is None
        and problem.label_weight is None
        and problem.regularizers.keys() <= {"z_loss"}
        and problem.reduction != "none"
        and (isinstance(N, (str, int, float)) or (isinstance(N, Tensor) and N.ndim == 0))
    )


def _in_one_launch(problem: SoftmaxProblem, stats: RowStatistics, kernels: Any) -> ForwardResult:
    N, target, masses = problem.normalizer, problem.target, problem.masses
    y = None if target.indices is None else target.indices.to(torch.int64).contiguous()
    z_loss = problem.regularizers.get("z_loss", 0.0)
    terms = kernels.RowTerms(
        y,
        1 if masses is None else int(masses.shape[-1]),
        target.ignore_index,
        problem.classes,
        *(
            None if x is None else x.contiguous()
            for x in (problem.class_weight, masses, problem.sample_weight)
        ),
        focal_gamma(problem.link),
        float(problem.label_smoothing),
        float(z_loss),
        N == "count" if isinstance(N, str) else False,
    )
    by: Any = 1.0 if problem.reduction == "sum" else None if isinstance(N, str) else N
    mean = kernels.Mean(by, 0.0 if problem.empty == "zero" else math.nan)
    value, divisor, slopes = kernels.loss(
        stats.log_odds, stats.prior_term, stats.log_partition if z_loss else None, terms, mean
    )
    if problem.empty == "raise" and is_true(divisor == 0, wait=True):
        raise ValueError(EMPTY_MESSAGE)
    return _InOneLaunch(value, stats, slopes, divisor, terms)


def _taken_apart(problem: SoftmaxProblem) -> tuple[StaticArgs, TensorArgs]:
    return partition(
        problem.logits,
        problem.axis,
        problem.target,
        problem.transform,
        problem.prior,
        problem.requested,
        False,
    )


def _of_rows(problem: SoftmaxProblem, term: Term, share: Tensor) -> Tensor:
    """What a unit of a statistic adds to the value, where one of each row's weighted loss adds `share`.

    A row where that, or its weight, is 0 counts for nothing.
    """
    weight, shape = share * term.factor, problem.rows
    if problem.sample_weight is not None:
        weight = weight * problem.sample_weight
    if term.several and problem.target.indices is not None:
        weight, shape = weight[..., None], tuple(problem.target.indices.shape)
    if term.weights is not None:
        weight = weight * term.weights
    found = weight if term.values is None else torch.where(weight == 0, 0.0, weight * term.values)
    return found.expand(shape).contiguous()
