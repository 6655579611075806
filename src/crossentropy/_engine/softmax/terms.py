"""The softmax losses as formulas over target statistics: the values of rows, and what each statistic is worth.

This is where every loss of the family is written, once, as a sum of terms. `row_losses` adds them up, differentiable
where its arrays are; `row_slopes` are their derivatives by the statistics, for those who call the kernels' pullback
themselves.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from crossentropy._arguments.unit_sums import digits_beside_one, rounding_tolerance
from crossentropy._backends import Array, as_indices, namespace, total, widest_dtype
from crossentropy._backends.conditions import first_true, is_true, is_zero
from crossentropy._backends.dtypes import sum_tolerance
from crossentropy._engine.reductions import divided_by_zero
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.regularizers import REGULARIZERS
from crossentropy._rows import row_in_words
from crossentropy._statistics import RowStatistics, formulas
from crossentropy._statistics.problem import clip_to_dtype
from crossentropy.links.link import loss_beside_nothing
from crossentropy.links.link import slope as link_slope


class Term(NamedTuple):
    """``factor Σ_j weights_j values_j`` of every row; what is None is 1.

    `weights` and `values` have the shape of the rows, and where `several` an axis behind them for ``j``. A weight of 0
    makes 0 of anything.
    """

    factor: float
    weights: Array | None
    values: Array | None
    several: bool = False


def prepare(problem: SoftmaxProblem, idle: Array | None) -> formulas.Rows:
    """Transform the rows and mask the excluded and the invalid ones, for own formulas; `idle` rows have no weight."""
    return formulas.prepare(
        problem.logits, problem.axis, problem.target, problem.transform, validate=problem.validate, idle=idle
    )


def added(terms: Sequence[Term]) -> Array:
    """The sum of terms that have values or weights, differentiable."""
    total: Any = None
    for factor, weights, values, several in terms:
        x: Any = weights if values is None else values if weights is None else weigh(weights, values)
        x = namespace(x).sum(x, axis=-1) if several else x
        x = x if isinstance(factor, (int, float)) and factor == 1 else factor * x
        total = x if total is None else total + x
    return total


def weighted_losses(
    problem: SoftmaxProblem,
    statistics: Callable[[SoftmaxProblem], RowStatistics],
    row_losses_per_class: Callable[[SoftmaxProblem], tuple[Array, Array | None]] | None,
    link_losses: Callable[[SoftmaxProblem, RowStatistics], Array],
) -> tuple[Array, Array | None, RowStatistics]:
    """The weighted losses and masses of its rows, and the statistics that they are made of.

    `row_losses_per_class` gives losses and masses, and has to where statistics do not tell them; None is of statistics.
    Masses of None stand for 1 everywhere. `link_losses` computes `target_losses`.
    """
    stats, masses = RowStatistics(), None
    if row_losses_per_class is not None:
        check_sums(problem)
        losses, masses = row_losses_per_class(problem)
        if problem.regularizers:
            stats = statistics(problem)
            losses = losses + added(regularizer_terms(problem, stats))
    else:
        stats = statistics(problem)
        check_sums(problem, stats.dense_total)
        losses = row_losses(problem, stats, link_losses)
        masses = row_masses(problem, stats)
    masses = problem.sample_weight if masses is None else weigh_rows(problem, masses)
    return weigh_rows(problem, losses), masses, stats


def row_losses(
    problem: SoftmaxProblem,
    stats: RowStatistics,
    link_losses: Callable[[SoftmaxProblem, RowStatistics], Array],
) -> Array:
    """The loss of every row before its sample weight, from the statistics of its rows."""
    loss = None if stats.dense_term is not None else link_losses(problem, stats)
    return added(row_terms(problem, stats, loss, target_weights(problem)))


def row_terms(
    problem: SoftmaxProblem, stats: RowStatistics, target_loss: Array | None, shares: Array | None
) -> list[Term]:
    """What the loss of a row is the sum of, before its sample weight.

    `target_loss` is ``φ`` at the targets, None of soft ones; `shares` are the `target_weights`.
    """
    kept, terms = 1 - problem.label_smoothing, []
    if not is_zero(kept):  # a label without mass counts nothing, whatever its loss
        if target_loss is None:
            terms.append(Term(kept, None, _finite_without_weight(problem, stats.dense_term)))
        else:
            terms.append(Term(kept, shares, target_loss, problem.masses is not None))
    if stats.prior_term is not None:
        terms.append(Term(problem.label_smoothing, None, _finite_without_weight(problem, stats.prior_term)))
    return terms + regularizer_terms(problem, stats)


def regularizer_terms(problem: SoftmaxProblem, stats: RowStatistics) -> list[Term]:
    """The terms of its `regularizers`."""
    terms = []
    for name, factor in problem.regularizers.items():
        statistic, value, _ = REGULARIZERS[name]
        # a square has no derivative at a NaN, and 0 times that is no 0
        terms.append(Term(factor, None, value(_finite_without_weight(problem, getattr(stats, statistic)))))
    return terms


def _finite_without_weight(problem: SoftmaxProblem, s: Array) -> Array:
    """A statistic of every row, 0 where it is infinite or NaN and the row has no weight.

    What is left of the row's loss is the derivative by that weight.
    """
    idle, xp = zero_weight_rows(problem), namespace(s)
    return s if idle is None else xp.where(idle & ~xp.isfinite(s), xp.zeros_like(s), s)


def row_slopes(
    problem: SoftmaxProblem, stats: RowStatistics, target_slope: Array | None
) -> dict[str, list[Term]]:
    """The derivatives of `row_terms` by the statistics, each the sum of the terms under its name.

    `target_slope` is ``dφ/dD`` at the targets.
    """
    kept, slopes = 1 - problem.label_smoothing, {}
    if target_slope is None:
        slopes["dense_term"] = [Term(kept, None, None)]
    else:
        several = problem.masses is not None
        slopes["log_odds"] = [Term(kept, target_weights(problem), target_slope, several)]
    if stats.prior_term is not None:
        slopes["prior_term"] = [Term(problem.label_smoothing, None, None)]
    return slopes | regularizer_slopes(problem, stats)


def regularizer_slopes(problem: SoftmaxProblem, stats: RowStatistics) -> dict[str, list[Term]]:
    """The derivatives of `regularizer_terms`, as `row_slopes` gives them."""
    slopes: dict[str, list[Term]] = {}
    for name, factor in problem.regularizers.items():
        statistic, _, derivative = REGULARIZERS[name]
        slopes.setdefault(statistic, []).append(Term(factor, None, derivative(getattr(stats, statistic))))
    return slopes


def is_plain(problem: SoftmaxProblem) -> bool:
    """Whether the loss is the link of one target's log-odds and nothing else."""
    return (
        problem.target.dense is None
        and problem.class_weight is None
        and problem.masses is None
        and problem.prior is None
        and not problem.regularizers
    )


def target_losses(problem: SoftmaxProblem, stats: RowStatistics) -> Array:
    """``φ`` at the targets, 0 where the row is ignored."""
    void = void_odds(problem, stats.log_odds)
    if void is None:
        return fill_excluded(problem, problem.link.loss(stats.log_odds))
    return fill_excluded(problem, loss_beside_nothing(problem.link, stats.log_odds, void))


def target_slope(problem: SoftmaxProblem, stats: RowStatistics) -> Array:
    """``dφ/dD = gain(D) σ(D)`` at the targets."""
    slope = link_slope(problem.link, link_odds(problem, stats.log_odds))
    return fill_excluded(problem, clip_to_dtype(slope, problem.loss_dtype))


def link_odds(problem: SoftmaxProblem, D: Array) -> Array:
    """``D`` as a link is to see it: 0 at targets that are impossible, certain or NaN, and count for nothing.

    What a link makes of an infinity may have no derivative, and 0 times that is no 0.
    """
    void = void_odds(problem, D)
    return D if void is None else problem.xp.where(void, problem.xp.zeros_like(D), D)


def void_odds(problem: SoftmaxProblem, D: Array) -> Array | None:
    """Where the log-odds of targets are infinite or NaN and count for nothing; None stands for nowhere."""
    shares, out = target_weights(problem), excluded_rows(problem)
    void = None if shares is None else shares == 0
    if out is not None:
        out = out[..., None] if problem.masses is not None else out
        void = out if void is None else void | out
    return None if void is None else void & ~problem.xp.isfinite(D)


def fill_excluded(problem: SoftmaxProblem, values: Array) -> Array:
    """`values`, one for every target, with 0 where the row is ignored."""
    keep = not_ignored_rows(problem)
    if keep is None:
        return values
    keep = keep[..., None] if problem.masses is not None else keep
    return problem.xp.where(keep, values, problem.xp.zeros_like(values))


def row_masses(problem: SoftmaxProblem, stats: RowStatistics) -> Array | None:
    """``Σ_c w_c t_c`` of every row, 0 where ignored, differentiable; None stands for 1 everywhere."""
    a = problem.target.dense
    if getattr(a, "requires_grad", False):  # the denominator is a function of soft targets too
        return dense_masses(problem)
    if a is not None:
        return stats.dense_total
    shares, keep = target_weights(problem), not_ignored_rows(problem)
    if shares is not None:
        return shares if problem.masses is None else problem.xp.sum(shares, axis=-1)
    return None if keep is None else problem.xp.astype(keep, widest_dtype(keep))


def dense_masses(problem: SoftmaxProblem) -> Array:
    """``Σ_c w_c t_c`` of every row of soft targets, differentiable."""
    t, w = problem.target.dense, problem.class_weight
    t = formulas.class_last(formulas.widened(t), problem.axis)
    return total(t if w is None else t * formulas.widened(w), -1)


def target_weights(problem: SoftmaxProblem) -> Array | None:
    """What each target's loss is multiplied by: class weight times mass, 0 where ignored; None stands for 1."""
    y, w, t = problem.target.indices, label_weight(problem), problem.masses
    if y is None or (w is None and t is None):
        return None
    t = None if t is None else formulas.widened(t)
    shares = t if w is None else w if t is None else w * t
    keep = not_ignored_rows(problem)
    if keep is None:
        return shares
    keep = keep[..., None] if problem.masses is not None else keep
    return problem.xp.where(keep, shares, problem.xp.zeros_like(shares))


def label_weight(problem: SoftmaxProblem) -> Array | None:
    """The class weight of every label; None stands for 1."""
    y, w = problem.target.indices, problem.class_weight
    if problem.label_weight is not None or w is None or y is None:
        return problem.label_weight
    xp, y, w = namespace(y), as_indices(y), formulas.widened(w)
    known = xp.where((y >= 0) & (y < problem.classes), y, xp.zeros_like(y))  # others have no loss, or NaN
    return xp.reshape(xp.take(w, xp.reshape(known, (-1,)), axis=0), tuple(y.shape))


def not_ignored_rows(problem: SoftmaxProblem) -> Array | None:
    """Which rows are not ignored; None stands for all."""
    ignore, y = problem.target.ignore_index, problem.target.indices
    if ignore is None or y is None:
        return None
    keep = as_indices(y) != ignore
    return namespace(keep).all(keep, axis=-1) if problem.target.several else keep


def zero_weight_rows(problem: SoftmaxProblem) -> Array | None:
    """Which rows have a sample weight of 0, or are divided by 0, and so have no gradient; None stands for none."""
    idle = None if problem.sample_weight is None else problem.sample_weight == 0
    divided = divided_by_zero(problem.normalizer, problem.rows, problem.xp, problem.device)
    if divided is None:
        return idle
    return divided if idle is None else idle | divided


def weightless_rows(problem: SoftmaxProblem) -> Array | None:
    """These rows, and those whose labels have no weight, where the label's loss is all there is."""
    idle, shares = zero_weight_rows(problem), target_weights(problem)
    if shares is None or problem.regularizers or not is_zero(problem.label_smoothing):
        return idle
    nothing = shares == 0 if problem.masses is None else namespace(shares).all(shares == 0, axis=-1)
    return nothing if idle is None else idle | nothing


def excluded_rows(problem: SoftmaxProblem) -> Array | None:
    """Which rows count for nothing, ignored or without weight; None stands for none."""
    keep, idle = not_ignored_rows(problem), zero_weight_rows(problem)
    if keep is None:
        return idle
    return ~keep if idle is None else ~keep | idle


def check_sums(problem: SoftmaxProblem, sums: Array | None = None) -> None:
    """Raise if a row of soft targets does not sum to one, within what its dtype can say; `sums` if known."""
    if not (problem.normalized and problem.validate):
        return
    a: Array = problem.target.dense
    # The kernels sum in the logits' precision, which may be less than what the targets are held to.
    narrower = "64" in str(a.dtype) and "64" not in str(problem.dtype)
    if sums is None or narrower or problem.class_weight is not None:
        sums = total(a, problem.axis)
    check_whole(problem, sums)


def check_whole(problem: SoftmaxProblem, sums: Array) -> None:
    """Raise if the sum of a row of soft targets is not one, within what their dtype can say."""
    xp = namespace(sums)
    counted = None if problem.sample_weight is None else problem.sample_weight != 0

    def wrong_within(tolerance: float) -> Array:
        wrong = ~(xp.abs(sums - 1) <= tolerance)
        return wrong if counted is None else wrong & counted

    tolerance = sum_tolerance(problem.target.dense)
    wrong = wrong_within(tolerance)
    if is_true(xp.any(wrong)):
        wrong = wrong_within(rounding_tolerance(problem.target.dense, problem.classes))
    if is_true(xp.any(wrong)):
        row = first_true(wrong)
        where = f" of {row_in_words(row)}" if row else ""
        hint = (
            ". Logits of one axis are one row of classes; for a yes or no of each there is "
            "crossentropy.sigmoid_cross_entropy(logits, labels)"
        )
        total_mass = digits_beside_one(float(sums[row]))
        raise ValueError(
            f"the probabilities{where} sum to {total_mass}, not to 1 within {tolerance:.2g}; normalize them, or pass "
            "targets.Probabilities(labels, normalized=False) to weigh classes freely"
            + ("" if problem.rows else hint)
        )


def weigh(weights: Array, values: Array, divided: Array | None = None) -> Array:
    """``weights · values``, where a weight of 0 makes 0 of anything, and a gradient by the weight still flows.

    So does a divisor of 0: values that are `divided` by it have no gradient, and 0 · ∞ is no 0.
    """
    xp = namespace(values)
    void = ((weights == 0) if divided is None else (weights == 0) | divided) & ~xp.isfinite(values)
    return xp.where(void, xp.zeros_like(values), weights * xp.where(void, xp.zeros_like(values), values))


def weigh_rows(problem: SoftmaxProblem, values: Array) -> Array:
    """``ω · values``."""
    if problem.sample_weight is None:
        return values
    return weigh(problem.sample_weight, values, zero_weight_rows(problem))
