"""The log-probability of every row's label under the predictions: scores before any mean."""

from typing import NamedTuple

from crossentropy._backends import Array, is_numpy, namespace, widest_dtype
from crossentropy._backends.conditions import is_true
from crossentropy._engine.probabilities.labels import Truth, check_indices, check_masses
from crossentropy._engine.probabilities.predictions import (
    Predictions,
    binary_log_prob,
    label_log_prob,
    soft_log_prob,
)
from crossentropy._engine.softmax.terms import weigh
from crossentropy._statistics import Target
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.label_errors import outside_classes


class RowLogProb(NamedTuple):
    """The contribution of every row to a score; all arrays have the rows' shape."""

    #: ``Σ_c w_c t_c ln p_c`` in nats, for one label ``w_y ln p_y``; NaN if the label of a row to be scored is invalid.
    log_prob: Array
    #: ``Σ_c w_c t_c``; None stands for 1 each.
    mass: Array | None
    #: False where a row is ignored; None stands for none.
    keep: Array | None


def row_log_prob(
    p: Predictions,
    truth: Truth,
    class_weight: Array | None = None,
    counted: Array | None = None,
    *,
    bad: Array | None = None,
    checked: bool = False,
) -> RowLogProb:
    """Compute the log-probability of every row's truth, in float64 where there is one.

    Rows where `counted` is false have no weight, and may hold anything. `bad` are the rows whose label is outside the
    classes and not ignored, if the caller knows them. If `checked`, the first invalid label or distribution raises;
    otherwise an invalid label gives NaN, in the gradient too, and distributions are not checked.
    """
    if truth.masses is not None:
        return _of_masses(p, truth, class_weight, counted, checked=checked)
    return _of_indices(p, truth, class_weight, counted, bad, checked=checked)


def _of_indices(
    p: Predictions,
    truth: Truth,
    weight: Array | None,
    counted: Array | None,
    bad: Array | None,
    *,
    checked: bool,
) -> RowLogProb:
    """Compute ``w_y ln p_y`` of every row, for labels that are indices."""
    xp, y = namespace(p.values), truth.indices
    keep = None if truth.ignore_index is None else y != truth.ignore_index
    target = Target(y, ignore_index=truth.ignore_index)
    bad = outside_classes(target, p.classes) if bad is None else bad
    if checked:
        check_indices(target, p, bad)
    # Where all labels are known to be classes, no array is made for what else they might be.
    known = (checked and is_numpy(y)) or is_true(~xp.any(bad))
    safe = y if known else xp.where(bad, xp.zeros_like(y), y)
    if keep is not None:
        safe = xp.where(keep, safe, xp.zeros_like(y))
        counted = keep if counted is None else keep & counted
    if p.is_binary:
        yes = xp.astype(safe, widest_dtype(p.values))
        log_p = binary_log_prob(p, yes, 1 - yes, counted, checked=checked)
    else:
        log_p = label_log_prob(p, safe, counted, checked=checked)
    if not known:  # times NaN, so that the gradient of such a row is NaN too
        bad = bad if counted is None else bad & counted
        one = xp.ones_like(log_p)
        log_p = log_p * xp.where(bad, xp.full_like(one, float("nan")), one)
    if weight is None:
        return RowLogProb(log_p, None, keep)
    mass = xp.reshape(xp.take(weight, xp.reshape(safe, (-1,)), axis=0), tuple(y.shape))
    mass = xp.astype(mass, log_p.dtype)
    return RowLogProb(weigh(mass, log_p), mass, keep)


def _of_masses(
    p: Predictions, truth: Truth, weight: Array | None, counted: Array | None, *, checked: bool
) -> RowLogProb:
    """Compute ``Σ_c w_c t_c ln p_c`` of every row, for labels that are distributions; none is ignored."""
    if checked:
        check_masses(truth, p, counted)
    t = widened(truth.masses)
    xp = namespace(t)
    weight = None if weight is None else xp.astype(weight, t.dtype)
    if p.is_binary:
        yes, no = (t, 1 - t) if weight is None else (weight[1] * t, weight[0] * (1 - t))
        return RowLogProb(binary_log_prob(p, yes, no, counted, checked=checked), yes + no, None)
    masses = t if weight is None else t * weight
    return RowLogProb(soft_log_prob(p, masses, counted, checked=checked), xp.sum(masses, axis=-1), None)
