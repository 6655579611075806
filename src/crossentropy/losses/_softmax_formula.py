"""The softmax losses as formulas over target statistics: the values of rows, and what each statistic is worth.

This is where every loss of the family is written, once. `row_losses` is differentiable where its arrays are;
`row_cotangents` is its derivative by the statistics, for those who call the kernels' pullback themselves.
"""

from typing import Any

from crossentropy.backends import as_indices, first_true, is_true, namespace, sum_tolerance, total
from crossentropy.links.protocol import slope as link_slope
from crossentropy.losses._softmax_problem import SoftmaxProblem
from crossentropy.statistics import Cotangents, Planes, reference
from crossentropy.statistics.problem import within_range

Array = Any


def row_losses(problem: SoftmaxProblem, planes: Planes, target_loss: Array | None = None) -> Array:
    """The loss of every row before its sample weight.

    Parameters
    ----------
    problem : SoftmaxProblem
    planes : Planes
        Statistics of its rows.
    target_loss : array, shape of ``planes.log_odds``, optional
        ``φ`` at the targets where it is known already.
    """
    kept = 1 - problem.label_smoothing
    if planes.dense_term is not None:
        loss = planes.dense_term if kept == 1 else kept * planes.dense_term
    else:
        loss = target_losses(problem, planes) if target_loss is None else target_loss
        shares = target_shares(problem)
        if shares is not None:
            loss = weigh(shares, loss)
        if problem.masses is not None:
            loss = namespace(loss).sum(loss, axis=-1)
        if kept != 1:  # a label without mass counts nothing, whatever its loss
            loss = kept * loss if kept else namespace(loss).zeros_like(loss)
    if planes.prior_term is not None:
        loss = loss + problem.label_smoothing * planes.prior_term
    if problem.z_loss or problem.entropy_bonus:
        loss = loss + regularisers(problem, planes)
    return loss


def regularisers(problem: SoftmaxProblem, planes: Planes) -> Array:
    """``z_loss L² − entropy_bonus H``."""
    value = 0.0
    if problem.z_loss:
        L, idle = planes.log_partition, idle_rows(problem)
        if idle is not None:  # a square has no derivative at a NaN, and 0 times that is no 0
            xp = namespace(L)
            L = xp.where(idle & ~xp.isfinite(L), xp.zeros_like(L), L)
        value = problem.z_loss * L**2
    if problem.entropy_bonus:
        value = value - problem.entropy_bonus * planes.entropy
    return value


def row_cotangents(problem: SoftmaxProblem, planes: Planes, slope: Array, upstream: Any) -> Cotangents:
    """What a unit of each statistic adds to the total, with `upstream` what a unit of each row's loss does.

    `slope` is ``dφ/dD`` at the targets, as `target_slope` gives it; `upstream` is a number, or one for every row,
    and a row where it is 0 counts for nothing.
    """
    kept = 1 - problem.label_smoothing
    out = Cotangents()
    if isinstance(upstream, float):
        if is_plain(problem) and upstream != 0:
            out.log_odds = slope * (upstream * kept)
            return out
        upstream = namespace(planes.top).full_like(planes.top, upstream)
    if planes.dense_term is not None:
        out.dense_term = upstream * kept
    else:
        shares = target_shares(problem)
        own = upstream if kept == 1 else upstream * kept
        own = own[..., None] if problem.masses is not None else own
        own = own if shares is None else own * shares
        out.log_odds = weigh(own, slope)
    if planes.prior_term is not None:
        out.prior_term = upstream * problem.label_smoothing
    regular = regulariser_cotangents(problem, planes, upstream)
    out.log_partition, out.entropy = regular.log_partition, regular.entropy
    return out


def regulariser_cotangents(problem: SoftmaxProblem, planes: Planes, upstream: Array) -> Cotangents:
    """The part of `row_cotangents` that `regularisers` makes."""
    out = Cotangents()
    if problem.z_loss:
        out.log_partition = weigh(upstream, 2 * problem.z_loss * planes.log_partition)
    if problem.entropy_bonus:
        out.entropy = upstream * -problem.entropy_bonus
    return out


def is_plain(problem: SoftmaxProblem) -> bool:
    """Whether the loss is the link of one target's log-odds and nothing else."""
    return (
        problem.target.dense is None
        and problem.class_weight is None
        and problem.masses is None
        and problem.prior is None
        and not problem.z_loss
        and not problem.entropy_bonus
    )


def target_losses(problem: SoftmaxProblem, planes: Planes) -> Array:
    """``φ`` at the targets, 0 where the row is ignored."""
    return settled(problem, problem.link.loss(link_odds(problem, planes.log_odds)))


def target_slope(problem: SoftmaxProblem, planes: Planes) -> Array:
    """``dφ/dD = gain(D) σ(D)`` at the targets."""
    slope = link_slope(problem.link, link_odds(problem, planes.log_odds))
    return settled(problem, within_range(slope, problem.logits))


def link_odds(problem: SoftmaxProblem, D: Array) -> Array:
    """``D`` as a link is to see it: 0 at targets that are impossible, certain or NaN, and count for nothing.

    What a link makes of an infinity may have no derivative, and 0 times that is no 0.
    """
    xp = namespace(D)
    shares, keep, idle = target_shares(problem), kept_rows(problem), idle_rows(problem)
    void = None if shares is None else shares == 0
    for rows in (None if keep is None else ~keep, idle):
        if rows is not None:
            rows = rows[..., None] if problem.masses is not None else rows
            void = rows if void is None else void | rows
    if void is None:
        return D
    return xp.where(void & ~xp.isfinite(D), xp.zeros_like(D), D)


def settled(problem: SoftmaxProblem, values: Array) -> Array:
    """`values`, one for every target, with 0 where the row is ignored."""
    keep = kept_rows(problem)
    if keep is None:
        return values
    keep = keep[..., None] if problem.masses is not None else keep
    return namespace(values).where(keep, values, namespace(values).zeros_like(values))


def row_masses(problem: SoftmaxProblem, planes: Planes) -> Array | None:
    """``Σ_c w_c t_c`` of every row, 0 where ignored; None stands for 1 everywhere."""
    a, w = problem.target.dense, problem.class_weight
    if a is not None and getattr(
        a, "requires_grad", False
    ):  # the denominator is a function of soft targets too
        a = reference.class_last(reference.widened(a), problem.axis)
        return (a if w is None else a * reference.widened(w)).sum(-1)
    if a is not None:
        return planes.dense_total
    shares = target_shares(problem)
    if shares is None:
        keep = kept_rows(problem)
        return None if keep is None else namespace(keep).astype(keep, planes.log_odds.dtype)
    return namespace(shares).sum(shares, axis=-1) if problem.masses is not None else shares


def target_shares(problem: SoftmaxProblem) -> Array | None:
    """What each target's loss is multiplied by: class weight times mass, 0 where ignored; None stands for 1."""
    y, w, t = problem.target.indices, label_weight(problem), problem.masses
    if y is None or (w is None and t is None):
        return None
    xp, t = namespace(y), None if t is None else reference.widened(t)
    shares = t if w is None else w if t is None else w * t
    keep = kept_rows(problem)
    if keep is None:
        return shares
    keep = keep[..., None] if problem.masses is not None else keep
    return xp.where(keep, shares, xp.zeros_like(shares))


def label_weight(problem: SoftmaxProblem) -> Array | None:
    """The class weight of every label; None stands for 1."""
    y, w = problem.target.indices, problem.class_weight
    if problem.label_weight is not None or w is None or y is None:
        return problem.label_weight
    xp, y, w = namespace(y), as_indices(y), reference.widened(w)
    known = (y >= 0) & (y < problem.classes)
    safe = xp.where(known, y, xp.zeros_like(y))
    return xp.reshape(xp.take(w, xp.reshape(safe, (-1,)), axis=0), tuple(y.shape))


def kept_rows(problem: SoftmaxProblem) -> Array | None:
    """Which rows are not ignored; None stands for all."""
    ignore, y = problem.target.ignore_index, problem.target.indices
    if ignore is None or y is None:
        return None
    keep = as_indices(y) != ignore
    return namespace(keep).all(keep, axis=-1) if problem.target.several else keep


def idle_rows(problem: SoftmaxProblem) -> Array | None:
    """Which rows have a sample weight of 0; None stands for none."""
    return None if problem.sample_weight is None else problem.sample_weight == 0


def check_sums(problem: SoftmaxProblem, sums: Array | None = None) -> None:
    """Raise if a row of soft targets does not sum to one, within what its dtype can say; `sums` if known."""
    if not (problem.normalized and problem.validate):
        return
    a: Array = problem.target.dense
    # The kernels sum in the logits' precision, which may be less than what the targets are held to.
    narrower = "64" in str(a.dtype) and "64" not in str(problem.logits.dtype)
    if sums is None or narrower or problem.class_weight is not None:
        sums = total(a, problem.axis)
    check_whole(problem, sums)


def check_whole(problem: SoftmaxProblem, sums: Array) -> None:
    """Raise if the sum of a row of soft targets is not one, within what their dtype can say."""
    xp = namespace(sums)
    wrong = ~(xp.abs(sums - 1) <= sum_tolerance(problem.target.dense))
    if problem.sample_weight is not None:
        wrong = wrong & (problem.sample_weight != 0)
    if is_true(xp.any(wrong)):
        row = first_true(wrong)
        raise ValueError(
            f"the probabilities of row {row[0] if len(row) == 1 else row} sum to {float(sums[row]):.6g}, not to 1; "
            "normalise them, or pass targets.Probabilities(labels, normalized=False) to weigh classes freely"
        )


def weigh(weights: Array, values: Array) -> Array:
    """``weights · values``, where a weight of 0 makes 0 of anything, and a gradient by the weight still flows."""
    xp = namespace(values)
    void = (weights == 0) & ~xp.isfinite(values)
    return xp.where(void, xp.zeros_like(values), weights * xp.where(void, xp.zeros_like(values), values))


def weigh_rows(problem: SoftmaxProblem, values: Array) -> Array:
    """``ω · values``."""
    return values if problem.sample_weight is None else weigh(problem.sample_weight, values)
