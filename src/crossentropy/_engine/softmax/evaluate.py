"""Softmax losses combined from the statistics that kernels compute, without a graph: the value now, the gradient later.

It serves what the kernels of whole losses (`fused_cpu`, `fused_cuda`) do not know: soft targets, links in Python,
numbers that are arrays. On a GPU nothing here waits for the device.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from crossentropy._backends import Array, namespace
from crossentropy._engine.reductions import inverse, reduce_rows
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.arithmetic import Arithmetic
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import Term
from crossentropy._statistics import Cotangents, RowStatistics
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.label_errors import bad_label_error


@dataclass(slots=True, eq=False)
class ForwardResult:
    """A loss computed: its value, and what its gradient will need.

    `share` is what a unit of a row's weighted loss adds to the value: a number, or one for every row.
    """

    value: Any
    stats: RowStatistics
    slope: Array | None
    share: Any


def evaluate(
    arithmetic: Arithmetic,
    problem: SoftmaxProblem,
    *,
    statistics: Callable[[SoftmaxProblem], RowStatistics] | None = None,
    row_losses: Callable[[SoftmaxProblem], tuple[Array, Array]] = per_class.row_losses,
) -> ForwardResult:
    """Compute the loss of `problem`, in float64.

    `statistics` and `row_losses` compute those of a problem without logits, as in `loss_by_autodiff`.
    """
    slope = None

    def target_losses(problem: SoftmaxProblem, stats: RowStatistics) -> Array:
        nonlocal slope
        loss, slope = arithmetic.link(problem, stats)
        return loss

    find = statistics or (lambda problem: kernel_statistics(arithmetic, problem))
    per_row = row_losses if problem.acts_per_class else None
    losses, masses, stats = formula.weighted_losses(problem, find, per_row, target_losses)
    value, N = reduce_rows(
        losses,
        masses,
        formula.not_ignored_rows(problem),
        reduction=problem.reduction,
        normalizer=problem.normalizer,
        empty=problem.empty,
        signed=problem.signed_weights,
        add_up=arithmetic.total,
    )
    return ForwardResult(value, stats, slope, 1.0 if N is None else inverse(N))


def gradient(
    arithmetic: Arithmetic,
    problem: SoftmaxProblem,
    logits: Array,
    found: ForwardResult,
    upstream: Any,
    into: Array | None = None,
) -> Array:
    """Compute the gradient with respect to `logits`, times `upstream`, into `into` if that memory is given.

    `upstream` is a number, or with reduction "none" one for every row.
    """
    problem = problem if problem.logits is logits else replace(problem, logits=logits)
    share = (upstream if isinstance(upstream, float) else widened(upstream)) * found.share
    if not problem.acts_per_class:
        slopes = formula.row_slopes(problem, found.stats, found.slope)
        cotangents = _cotangents(problem, found.stats, slopes, share)
        return (
            kernel_of(arithmetic, problem).pullback(found.stats, cotangents, problem.rows, into=into).logits
        )
    xp = problem.xp
    each = xp.full(problem.rows, 1.0, dtype=xp.float64, device=problem.device) * share
    dz = per_class.row_gradients(problem, formula.weigh_rows(problem, each))
    if problem.regularizers:
        slopes = formula.regularizer_slopes(problem, found.stats)
        cotangents = _cotangents(problem, found.stats, slopes, share)
        dz = dz + kernel_of(arithmetic, problem).pullback(found.stats, cotangents, problem.rows).logits
    return xp.astype(dz, problem.dtype)


def kernel_statistics(arithmetic: Arithmetic, problem: SoftmaxProblem) -> RowStatistics:
    """Compute the statistics of its rows by the kernel; a label outside the classes raises if it can be read."""
    stats = kernel_of(arithmetic, problem).statistics(problem.target, problem.rows, problem.requested)
    if stats.bad_row >= 0 and problem.validate:
        raise bad_label_error(problem.target, stats.bad_row, problem.classes)
    return stats


def kernel_of(arithmetic: Arithmetic, problem: SoftmaxProblem) -> Any:
    """The problem laid out for the kernel of rows."""
    return arithmetic.kernel(problem.logits, problem.axis, problem.target, problem.transform, problem.prior)


def _cotangents(
    problem: SoftmaxProblem, stats: RowStatistics, slopes: dict[str, list[Term]], share: Any
) -> Cotangents:
    """Add up the slopes of the statistics, where a row's weighted loss adds `share` to the value."""
    sums = {}
    for name, terms in slopes.items():
        products = [_product(problem, term, share, getattr(stats, name)) for term in terms]
        sums[name] = sum(products[1:], start=products[0])
    return Cotangents(**sums)


def _product(problem: SoftmaxProblem, term: Term, share: Any, like: Array) -> Array:
    """Multiply a term by `share` and the rows' weights, in the shape of a statistic.

    A row where that, or its weight, is 0 counts for nothing.
    """
    xp = namespace(like)

    def of_rows(x: Any) -> Any:
        return x[..., None] if term.several and hasattr(x, "ndim") and x.ndim else x

    factor = share * term.factor
    weight = xp.full_like(like, factor) if isinstance(factor, float) else xp.ones_like(like) * of_rows(factor)
    if problem.sample_weight is not None:
        weight = weight * of_rows(problem.sample_weight)
    if term.weights is not None:
        weight = weight * term.weights
    if term.values is not None:
        weight = xp.where(weight == 0, xp.zeros_like(weight), weight * term.values)
    return xp.asarray(weight)
