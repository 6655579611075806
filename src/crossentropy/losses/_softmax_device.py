"""Softmax losses of tensors on a device that runs behind this program: what `_softmax_eager` is for the memory of the
CPU, with every number left where it is. Nothing here waits for the device.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy.losses import _softmax_formula as formula
from crossentropy.losses._softmax_composed import check_masses, counted_rows
from crossentropy.losses._softmax_eager import Evaluation
from crossentropy.losses._softmax_formula import Term
from crossentropy.losses._softmax_problem import SoftmaxProblem
from crossentropy.reductions import divisor, mean_of
from crossentropy.statistics import Cotangents, Planes
from crossentropy.statistics import _torch as rowwise
from crossentropy.statistics._torch import LEARNABLE, Settings, Tensors


def evaluate(problem: SoftmaxProblem) -> Evaluation:
    """The loss of `problem`, in float64."""
    planes = rowwise.forward(*_taken_apart(problem))
    formula.check_sums(problem, planes.dense_total)
    slope = None if planes.log_odds is None else formula.target_slope(problem, planes)
    losses = formula.weigh_rows(problem, formula.row_losses(problem, planes))
    if problem.reduction == "none":
        return Evaluation(losses, planes, slope, 1.0)
    if problem.reduction == "sum":
        return Evaluation(losses.sum(), planes, slope, 1.0)
    N = denominator(problem, planes)
    return Evaluation(mean_of(losses, N, problem.empty), planes, slope, inverse(N))


def denominator(problem: SoftmaxProblem, planes: Planes) -> Tensor:
    """``N`` of a mean, from the labels or from the masses in `planes`."""
    masses = formula.row_masses(problem, planes)
    if masses is None:
        masses = torch.ones(problem.rows, dtype=torch.float64, device=problem.logits.device)
    masses = formula.weigh_rows(problem, masses)
    check_masses(problem, masses)
    return divisor(masses, masses, counted_rows(problem, masses), problem.normalizer)


def inverse(N: Tensor) -> Tensor:
    """``1 / N``, and 0 where there is nothing to divide by."""
    nothing = N == 0
    return torch.where(nothing, 0.0, 1 / torch.where(nothing, 1.0, N))


def on_device(x: Any, like: Tensor) -> Tensor:
    """A number beside `like`, in float64; filled in there, with nothing to be copied."""
    return x.double() if isinstance(x, Tensor) else like.new_full((), x, dtype=torch.float64)


def gradient(problem: SoftmaxProblem, found: Evaluation, upstream: Any, into: Tensor) -> Tensor:
    """The gradient by the logits, times `upstream`, written to `into`."""
    settings, tensors = _taken_apart(problem)
    slopes = formula.row_slopes(problem, found.planes, found.slope)
    share = on_device(upstream * found.share, into)
    cotangents = Cotangents(**{name: _of_rows(problem, term, share) for name, term in slopes.items()})
    needs = (True, *(False,) * (LEARNABLE - 1))
    return rowwise.backward(settings, tensors, found.planes, cotangents, needs, into)[0]  # type: ignore[return-value]


def _taken_apart(problem: SoftmaxProblem) -> tuple[Settings, Tensors]:
    return rowwise.split(
        problem.logits, problem.axis, problem.target, problem.transform, problem.prior, problem.wanted, False
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
