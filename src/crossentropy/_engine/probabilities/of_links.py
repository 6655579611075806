"""Losses of probabilities under any link, held off 0 and 1 by a floor so that each has a finite gradient."""

from typing import Any

from crossentropy._backends import Array, loss_dtype, namespace, taken_along
from crossentropy._engine.softmax import terms
from crossentropy._engine.softmax.per_class import losses_of_classes
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._entropy_terms import divergence
from crossentropy._statistics import RowStatistics
from crossentropy._statistics.formulas import class_last, widened
from crossentropy._statistics.label_errors import check_labels, outside_classes

__all__ = ["class_losses", "divergences", "log_odds"]


def class_losses(p: Array, labels: Any, *, axis: int, floor: float, **options: Any) -> Array:
    """Compute ``Σ_c a_c φ(log p_c)`` of every row, from probabilities along `axis` that are divided by their sum.

    Parameters
    ----------
    p : array, floating
    labels : array or target
        As in `crossentropy.softmax_cross_entropy`.
    axis : int
    floor : float
        The least that a probability, or one minus it, is taken for.
    **options
        `link`, `label_smoothing`, `smoothing_prior`, `class_weight` and `ignore_index`.

    Returns
    -------
    array, shape of the rows
        Float64 for float64 probabilities, else float32; NaN where a label is not valid.
    """
    problem = make_problem(widened(p), labels, axis=axis, reduction="none", checks_sets=False, **options)
    xp, x = problem.xp, class_last(problem.logits, problem.axis)
    if problem.validate:
        check_labels(problem.target, problem.classes)
    keep = terms.not_ignored_rows(problem)
    if keep is not None:  # whatever an ignored row holds, its gradient is 0
        x = xp.where(keep[..., None], x, xp.ones_like(x))
    D = -log_odds(x / xp.sum(x, axis=-1, keepdims=True), floor)
    y = problem.target.indices
    if y is None or problem.acts_per_class or problem.masses is not None:
        losses, _ = losses_of_classes(problem, D)
    else:
        in_range = xp.clip(y, 0, problem.classes - 1)
        stats = RowStatistics(log_odds=taken_along(D, in_range[..., None], -1)[..., 0])
        losses = terms.row_losses(problem, stats, terms.target_losses)
    if y is not None:
        bad = outside_classes(problem.target, problem.classes)
        one = xp.ones_like(losses)
        losses = losses * xp.where(bad, xp.full_like(one, float("nan")), one)
    return xp.astype(losses, loss_dtype(p))


def log_odds(p: Array, floor: float) -> Array:
    """Compute ``ln p − ln(1 − p)`` in the widest dtype; neither ``p`` nor ``1 − p`` is less than `floor`.

    One of the two is at least ½, so that its logarithm loses nothing that counts beside the other.
    """
    p = widened(p)
    xp = namespace(p)
    return xp.log(xp.clip(p, floor, None)) - xp.log(xp.clip(1 - p, floor, None))


def divergences(p: Array, q: Array, *, axis: int, floor: float) -> Array:
    """Compute ``Σ p ln(p/q)`` of every row, of probabilities held between `floor` and 1 that need not sum to 1."""
    dtype = loss_dtype(q)
    p, q = widened(p), widened(q)
    xp = namespace(p, q)
    p, q = xp.clip(p, floor, 1.0), xp.clip(q, floor, 1.0)
    return xp.astype(xp.sum(divergence(p, q, difference=p - q) + (p - q), axis=axis), dtype)
