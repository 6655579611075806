"""Losses with a formula of their own for a row: their rows, what labels look up, weights and reduction."""

from typing import Any

from crossentropy._arguments.errors import number
from crossentropy._backends import INF, Array, as_indices, constant, device, namespace, widest_dtype
from crossentropy._backends.conditions import is_false
from crossentropy._engine.options import RowOptions, SoftmaxOptions, check_names
from crossentropy._engine.rows.reduce import reduce_problem
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.softmax.solve import softmax_loss
from crossentropy._engine.softmax.terms import (
    check_sums,
    not_ignored_rows,
    prepare,
    target_weights,
    weigh,
    zero_weight_rows,
)
from crossentropy._statistics import formulas
from crossentropy._statistics.label_errors import check_labels, outside_classes
from crossentropy._statistics.log_sum import LogSum
from crossentropy.targets import LabelSet, Probabilities


def row_problem(logits: Array, labels: Any, options: RowOptions, **transform: Any) -> SoftmaxProblem:
    """The arguments of such a loss, checked."""
    check_names(options, RowOptions)
    return make_problem(logits, labels, **options, **transform)


def one_label(problem: SoftmaxProblem, loss: str) -> Array:
    """The label of every row, an integer array, for a loss of this name that needs just one."""
    target = problem.target
    if target.indices is None or target.several:
        raise TypeError(
            f"{loss} has one label in every row; "
            "pass class indices of an integer dtype, or crossentropy.targets.OneHot"
        )
    return target.indices


def prepare_rows(problem: SoftmaxProblem, masses: Array | None = None) -> formulas.Rows:
    """The logits in float64 where there is one, class axis last, with every hazard put out of the way.

    `masses` multiply the losses of soft targets, as in `weight_and_reduce`.
    """
    weights, idle = row_weights(problem) if masses is None else masses, zero_weight_rows(problem)
    if problem.target.dense is not None:
        check_sums(problem)
    if weights is not None:
        idle = weights == 0 if idle is None else idle | (weights == 0)
    return prepare(problem, idle)


def fill_rows(losses: Array, rows: formulas.Rows) -> Array:
    """`losses`, but 0 in rows left out, and NaN in invalid ones, which a formula may lose of a single class."""
    u, out = rows.u, rows.left_out
    losses = losses if u.shape[-1] > 1 else losses + (u - u)[..., 0]
    return (
        losses if out is None else namespace(losses).where(out, namespace(losses).zeros_like(losses), losses)
    )


def row_weights(problem: SoftmaxProblem) -> Array | None:
    """``ω Σ_c w_c t_c`` of rows with one label or several, 0 where ignored; None stands for 1 everywhere."""
    weights, keep = problem.sample_weight, not_ignored_rows(problem)
    shares = target_weights(problem)
    if shares is not None:
        shares = namespace(shares).sum(shares, axis=-1) if problem.masses is not None else shares
        weights = shares if weights is None else formulas.widened(weights) * shares
    if keep is None:
        return weights
    xp = namespace(keep)
    kept = xp.astype(keep, widest_dtype(problem.logits))
    return kept if weights is None else xp.where(keep, weights, xp.zeros_like(weights))


def labels_as_weights(problem: SoftmaxProblem) -> SoftmaxOptions:
    """Options for a call whose target is another than these labels: what is ignored has a weight of 0 there."""
    keep, weights, normalizer = not_ignored_rows(problem), problem.sample_weight, problem.normalizer
    if keep is None:
        return {"sample_weight": weights, "ignore_index": None, "normalizer": normalizer}
    xp = namespace(keep)
    kept = xp.astype(keep, widest_dtype(problem.logits))
    if isinstance(normalizer, str) and normalizer == "count":
        normalizer = xp.sum(kept)
    weights = kept if weights is None else xp.where(keep, weights, xp.zeros_like(weights))
    return {"sample_weight": weights, "ignore_index": None, "normalizer": normalizer}


def weight_and_reduce(problem: SoftmaxProblem, losses: Array, masses: Array | None = None) -> Array:
    """Losses of rows weighted and reduced; `masses` are ``Σ_c w_c t_c`` where soft targets have them."""
    weights = row_weights(problem)
    if masses is not None:
        weights = masses if weights is None else weigh(weights, masses)
    return reduce_problem(problem, losses, weights)


def probabilities(u: Array) -> Array:
    """``softmax(u)`` along the last axis."""
    row = LogSum(namespace(u), u)
    return row.e / (1 + row.rest)[..., None]


def gather_by_label(problem: SoftmaxProblem, table: Array) -> Array:
    """The row of `table`, shape (C, K), that each label names: NaN for a label outside the classes.

    Any row of it where the label is ignored.
    """
    y, bad = as_indices(problem.target.indices), outside_classes(problem.target, problem.classes)
    xp = namespace(y)
    if problem.validate:
        check_labels(problem.target, problem.classes, bad=bad)
    known = (y >= 0) & (y < problem.classes)
    safe = xp.reshape(xp.where(known, y, xp.zeros_like(y)), (-1,))
    rows = xp.reshape(xp.take(table, safe, axis=0), (*y.shape, table.shape[1]))
    return xp.where(bad[..., None], xp.full_like(rows, float("nan")), rows)


def soft_label_table_loss(problem: SoftmaxProblem, table: Array, options: SoftmaxOptions, loss: str) -> Array:
    """Cross-entropy of the masses that each label's row of `table`, shape (C, C), puts on the classes."""
    one_label(problem, loss)
    masses = gather_by_label(problem, table)
    order = list(range(masses.ndim - 1))
    order.insert(problem.axis, masses.ndim - 1)
    masses = namespace(masses).permute_dims(masses, tuple(order))
    merged: SoftmaxOptions = {**options, **labels_as_weights(problem)}
    return softmax_loss(problem.logits, Probabilities(masses, normalized=False), **merged)


def fuzzy_set_loss(u: Array, member: Array, **options: Any) -> Array:
    """``−ln Σ_c m_c p_c`` with ``p = softmax(u)``, class axis last, for memberships ``m`` from 0 to 1.

    Each class is split into the part that belongs and the part that does not, ``u + ln m`` and ``u + ln(1 − m)``; the
    loss is that of the set of the former. So it has all its digits, near 0 as well.
    """
    xp = namespace(u)
    classes = u.shape[-1]
    u = u - constant(xp.max(u, axis=-1, keepdims=True))
    none, full = member <= 0, member >= 1
    member = xp.where(none | full, constant(member), member)  # ln 0 has no slope
    nothing = xp.full_like(member, -INF)
    log_m = xp.where(none, nothing, xp.log(xp.where(none, xp.ones_like(member), member)))
    log_rest = xp.where(full, nothing, xp.log1p(-xp.where(full, xp.zeros_like(member), member)))
    parts = xp.concat([u + log_m, u + log_rest], axis=-1)
    belongs = xp.arange(2 * classes, device=device(u)) < classes
    target = LabelSet(xp.broadcast_to(belongs, parts.shape))
    return softmax_loss(parts, target, validate="none", **options)


def inverse_scale(scale: float) -> float:
    """The temperature of logits that are multiplied by `scale`."""
    if is_false((number(scale, "scale") > 0) & (scale < INF)):
        raise ValueError(f"scale is {scale}; cosines are multiplied by it, so it must be positive")
    return 1 / formulas.widened(scale)
