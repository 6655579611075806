"""Losses of labels and of sets of them, under cross-entropy or focal, on a GPU: all rows in one launch.

The kernel makes the loss of the statistics of rows, and the slopes of these. Nothing here waits for the device.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends.conditions import is_true
from crossentropy._engine.reductions import EMPTY_MESSAGE
from crossentropy._engine.softmax.arithmetic import Arithmetic, link_by_formula
from crossentropy._engine.softmax.evaluate import kernel_of, kernel_statistics
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._statistics import Cotangents, RowStatistics
from crossentropy._statistics.torch import kernels
from crossentropy.links.cross_entropy import focal_gamma

#: The arithmetic of a device, for losses that the kernel does not know.
ON_DEVICE = Arithmetic(
    lambda logits, *problem: kernels.row_kernel(logits.device.type)(logits, *problem),  # type: ignore[misc]
    link_by_formula,
    Tensor.sum,
)
REGULARIZERS = {"z_loss"}  # those that the kernel knows


def row_loss(device: str) -> Any:
    """The module of a device's kernels for common losses; None if it has none."""
    if device != "cuda":
        return None
    from crossentropy._kernels.triton import row_loss

    return row_loss


@dataclass(slots=True, eq=False)
class FusedRows:
    """A loss computed: its value, and what its gradient will need. `share` is what it was divided by."""

    value: Any
    stats: RowStatistics
    slope: Any
    share: Any
    terms: Any


def serves(problem: SoftmaxProblem) -> bool:
    """Whether the kernel knows the loss, and the device of the logits has it.

    It reads neither soft targets along with the logits nor a weight of each label.
    """
    N = problem.normalizer
    return (
        row_loss(problem.device.type) is not None
        and problem.target.dense is None
        and problem.label_weight is None
        and focal_gamma(problem.link) is not None
        and not problem.acts_per_class
        and problem.regularizers.keys() <= REGULARIZERS
        and problem.reduction != "none"
        and (isinstance(N, (str, int, float)) or (isinstance(N, Tensor) and N.ndim == 0))
    )


def evaluate(problem: SoftmaxProblem) -> FusedRows:
    """The loss of `problem`, in float64."""
    rows, stats = row_loss(problem.device.type), kernel_statistics(ON_DEVICE, problem)
    N, target, masses = problem.normalizer, problem.target, problem.masses
    y = None if target.indices is None else target.indices.to(torch.int64).contiguous()
    z_loss = problem.regularizers.get("z_loss", 0.0)
    terms = rows.RowTerms(
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
    mean = rows.Mean(by, 0.0 if problem.empty == "zero" else math.nan)
    value, divisor, slopes = rows.loss(
        stats.log_odds, stats.prior_term, stats.log_partition if z_loss else None, terms, mean
    )
    if problem.empty == "raise" and is_true(divisor == 0, wait=True):
        raise ValueError(EMPTY_MESSAGE)
    return FusedRows(value, stats, slopes, divisor, terms)


def gradient(
    problem: SoftmaxProblem, logits: Tensor, found: FusedRows, upstream: Any, into: Tensor | None = None
) -> Tensor:
    """The gradient by `logits`, times `upstream`, written to `into` if there is such memory."""
    problem = problem if problem.logits is logits else replace(problem, logits=logits)
    each = (found.slope, found.stats.log_partition, found.terms, on_device(upstream, logits), found.share)
    cotangents = Cotangents(**row_loss(logits.device.type).slopes_of(*each)._asdict())
    return kernel_of(ON_DEVICE, problem).pullback(found.stats, cotangents, problem.rows, into=into).logits


def on_device(x: Any, like: Tensor) -> Tensor:
    """A number beside `like`, in float64; filled in there, with nothing to be copied."""
    return x.double() if isinstance(x, Tensor) else like.new_full((), x, dtype=torch.float64)
