"""Softmax losses straight from the kernels, without a graph: the value now, the gradient on demand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossentropy._backends import Array, namespace
from crossentropy._engine.reductions import check_least_weight, mean_of_totals, of_nothing
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import Term
from crossentropy._kernels import _native
from crossentropy._statistics import Cotangents, RowStatistics
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory import Memory
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy.links import CrossEntropy, Focal, Link


@dataclass(slots=True, eq=False)
class ForwardResult:
    """A loss worked out: its value, and what its gradient will need.

    `share` is what a unit of a row's weighted loss adds to the value: a number, or one for every row.
    """

    value: Any
    stats: RowStatistics
    slope: Array | None
    share: Any


def evaluate(
    memory: type[Memory],
    problem: SoftmaxProblem,
    *,
    statistics: Callable[[SoftmaxProblem], RowStatistics] | None = None,
    row_losses: Callable[[SoftmaxProblem], tuple[Array, Array]] = per_class.row_losses,
) -> ForwardResult:
    """The loss of `problem`, in float64.

    Parameters
    ----------
    memory : Memory
    problem : SoftmaxProblem
    statistics : callable, optional
        What gives the statistics of a problem without logits.
    row_losses : callable
        What gives the losses and masses of its rows where the link acts on every class.
    """
    slope = None
    find = statistics or (lambda problem: kernel_statistics(problem, memory))
    if problem.acts_per_class:
        formula.check_sums(problem)
        losses, masses = row_losses(problem)
        stats = RowStatistics()
        if problem.regularizers:
            stats = find(problem)
            losses = losses + formula.regularizers(problem, stats)
        mass: Term | None = Term(1.0, None, masses)
    else:
        stats = find(problem)
        _check_rows(problem, stats)
        loss = None
        if stats.log_odds is not None:
            loss, slope = _link_rows(problem.link, problem, stats, memory)
        shares = formula.target_weights(problem)
        losses = _added(problem, formula.row_terms(problem, stats, loss, shares), memory)
        mass = formula.mass_term(problem, stats, shares)
    n = _size(problem.rows)
    if problem.reduction == "none":
        return ForwardResult(formula.weigh_rows(problem, losses), stats, slope, 1.0)
    if problem.reduction == "sum":
        return ForwardResult(_total(problem, losses, n, memory), stats, slope, 1.0)
    N = normalizer(problem, mass, n, memory)
    if not isinstance(N, float):
        return _divided_by_rows(problem, losses, N, stats, slope, n, memory)
    value, divisor = mean_of_totals(_total(problem, losses, n, memory), N, problem.empty)
    return ForwardResult(value, stats, slope, 1.0 / divisor)


def _divided_by_rows(
    problem: SoftmaxProblem,
    losses: Array,
    N: Array,
    stats: RowStatistics,
    slope: Array | None,
    n: int,
    memory: type[Memory],
) -> ForwardResult:
    """A mean with a divisor for every row."""
    xp = namespace(N)
    nothing = N == 0
    share = xp.where(nothing, xp.zeros_like(N), 1 / xp.where(nothing, xp.ones_like(N), N))
    if problem.empty != "zero" and bool(xp.any(nothing)):
        return ForwardResult(of_nothing(problem.empty), stats, slope, share)
    return ForwardResult(_total(problem, formula.weigh(share, losses), n, memory), stats, slope, share)


def gradient(
    memory: type[Memory],
    problem: SoftmaxProblem,
    logits: Array,
    found: ForwardResult,
    upstream: Any,
    into: Array | None = None,
) -> Array:
    """The gradient by `logits`, times `upstream`: a number, or with reduction "none" one for every row."""
    problem = problem if problem.logits is logits else replace(problem, logits=logits)
    share = upstream * found.share
    kernel = _kernel(problem, memory)
    if not problem.acts_per_class:
        slopes = formula.row_slopes(problem, found.stats, found.slope)
        cotangents = _cotangents(problem, slopes, share, memory)
        return kernel.pullback(found.stats, cotangents, problem.rows, into=into).logits
    xp = problem.xp
    weighted = share
    if problem.sample_weight is not None:
        weighted = share * memory.contiguous(problem.sample_weight, "float64")
    rows = xp.broadcast_to(xp.asarray(weighted, dtype=xp.float64, device=problem.device), problem.rows)
    dz = per_class.row_gradients(problem, rows)
    if problem.regularizers:
        slopes = formula.regularizer_slopes(problem, found.stats)
        cotangents = _cotangents(problem, slopes, share, memory)
        dz = dz + kernel.pullback(found.stats, cotangents, problem.rows).logits
    return xp.astype(dz, problem.dtype)


def _added(
    problem: SoftmaxProblem, terms: Sequence[Term], memory: type[Memory], weights: Array | None = None
) -> Array:
    """`formula.added` in one pass a term; with `weights` of the rows times those."""
    sums = memory.empty(problem.rows, "float64")
    sums[...] = 0.0
    for term in terms:
        _weigh(_native.add_rows, problem, term, term.factor, weights, sums, memory)
    return sums


def _cotangents(
    problem: SoftmaxProblem, slopes: Mapping[str, list[Term]], share: Any, memory: type[Memory]
) -> Cotangents:
    """What a unit of each statistic adds to the value, where one of each row's weighted loss adds `share`.

    A row where that, or its weight, is 0 counts for nothing.
    """
    out, weights = Cotangents(), problem.sample_weight
    factor = share if isinstance(share, (int, float)) else 1.0
    if factor is not share:
        weights = share if weights is None else share * weights
    for name, terms in slopes.items():
        products = []
        for term in terms:
            product = memory.empty((*problem.rows, *_several(problem, term)), "float64")
            _weigh(_native.weigh_rows, problem, term, factor * term.factor, weights, product, memory)
            products.append(product)
        setattr(out, name, sum(products[1:], start=products[0]))
    return out


def _weigh(
    kernel: Callable[..., None],
    problem: SoftmaxProblem,
    term: Term,
    factor: float,
    weights: Array | None,
    out: Array,
    memory: type[Memory],
) -> None:
    """Have a kernel multiply `factor`, the rows' `weights` and the term's own weights and values."""
    kept = [
        None if x is None else memory.contiguous(x, "float64") for x in (weights, term.weights, term.values)
    ]
    addresses = (0 if x is None else memory.address(x) for x in kept)
    n, k = _size(problem.rows), _size(_several(problem, term))
    kernel(factor, *addresses, n, k, memory.address(out), memory.threads())


def _several(problem: SoftmaxProblem, term: Term) -> tuple[int, ...]:
    """The axis that a term has behind those of the rows."""
    indices: Any = problem.target.indices
    return (int(indices.shape[-1]),) if term.several else ()


def _check_rows(problem: SoftmaxProblem, stats: RowStatistics) -> None:
    """Raise for labels that name no class and for soft targets that do not sum to one."""
    if stats.bad_row >= 0 and problem.validate:
        target = problem.target
        raise bad_label_error(
            target.indices, stats.bad_row, problem.classes, target.ignore_index, several=target.several
        )
    formula.check_sums(problem, stats.dense_total)


def kernel_statistics(problem: SoftmaxProblem, memory: type[Memory]) -> RowStatistics:
    """The statistics of its rows from the kernel."""
    return _kernel(problem, memory).statistics(problem.target, problem.rows, problem.requested)


def _kernel(problem: SoftmaxProblem, memory: type[Memory]) -> RowKernel:
    return RowKernel(memory, problem.logits, problem.axis, problem.target, problem.transform, problem.prior)


def _link_rows(
    link: Link, problem: SoftmaxProblem, stats: RowStatistics, memory: type[Memory]
) -> tuple[Array, Array]:
    """``φ`` and ``dφ/dD`` at the targets; natively for the links whose rows must not depend on their place."""
    D = stats.log_odds
    if type(link) not in (CrossEntropy, Focal):
        return formula.target_losses(problem, stats), formula.target_slope(problem, stats)
    loss, slope = memory.empty_stack(2, tuple(D.shape))
    gamma = float(link.gamma) if isinstance(link, Focal) else 0.0
    address = memory.address
    _native.focal_rows(address(D), _size(D.shape), gamma, address(loss), address(slope), memory.threads())
    return loss, slope


def _total(problem: SoftmaxProblem, losses: Array, n: int, memory: type[Memory]) -> float:
    weights = problem.sample_weight
    if weights is not None:
        weights = memory.contiguous(weights, "float64")
    return _native.weighted_sum(
        memory.address(memory.contiguous(losses)), 0 if weights is None else memory.address(weights), n
    )


def divisors(problem: SoftmaxProblem) -> Any:
    """What the normalizer says: a word, a float, or an array with one divisor for every row."""
    N = problem.normalizer
    if isinstance(N, str):
        return N
    if isinstance(N, (int, float)) or N.ndim == 0:
        return float(N)
    if tuple(N.shape) != problem.rows:
        raise ValueError(
            f"normalizer has shape {tuple(N.shape)}; "
            f"pass a number, or one divisor for each row, shape {problem.rows}"
        )
    return N


def normalizer(problem: SoftmaxProblem, mass: Term | None, n: int, memory: type[Memory]) -> Any:
    """``N``: a float, or an array with one divisor for every row; `mass` is `formula.mass_term`."""
    given = divisors(problem)
    if not isinstance(given, str):
        return given if isinstance(given, float) else memory.contiguous(given, "float64")
    if given == "count":
        keep = formula.not_ignored_rows(problem)
        return float(n) if keep is None else float(namespace(keep).count_nonzero(keep))
    if mass is None and problem.sample_weight is None:
        return float(n)
    one = Term(1.0, None, None)
    both = _added(problem, [one if mass is None else mass], memory, problem.sample_weight)
    if n and not problem.signed_weights:
        check_least_weight(float(both.min()))
    return _native.weighted_sum(memory.address(both), 0, n)


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n
