"""Cross-entropy of predictions that are probabilities already."""

import math
from typing import Any

from crossentropy.backends import first_true, is_numpy, is_true, namespace, widest_dtype
from crossentropy.losses._own_rows import in_loss_dtype
from crossentropy.losses._predictions import (
    Predictions,
    binary_log_prob,
    label_log_prob,
    soft_log_prob,
    take_predictions,
)
from crossentropy.losses._score_labels import (
    Truth,
    bad_label_error,
    check_masses,
    check_order,
    resolve_truth,
)
from crossentropy.losses._scores import reduce_scores
from crossentropy.losses._softmax_formula import weigh
from crossentropy.losses._softmax_problem import check_validate
from crossentropy.reductions import check_reduction
from crossentropy.statistics.reference import widened
from crossentropy.weights import class_vector, row_values

__all__ = ["log_loss"]

Array = Any


def log_loss(
    probabilities: Array | None = None,
    labels: Any = None,
    *,
    log_probabilities: Array | None = None,
    classes: Any = None,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: Any = None,
    normalize: bool = False,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "nan",
    validate: str = "raise",
) -> Array:
    r"""Negative log-probability that predictions gave to what happened.

    .. math:: \ell = -\omega\, w_y \ln p_y \qquad\text{or}\qquad \ell = -\omega \sum_c w_c\, t_c \ln p_c

    Nothing is clipped: an impossible event that happened costs infinity. Nothing is divided by its sum unless
    ``normalize=True``. scikit-learn's order is the reverse: its ``log_loss(y, p)`` is ``log_loss(p, y)`` here.

    Parameters
    ----------
    probabilities : array (..., C), or (N,) or () for two classes, floating
        Predicted distributions; one-dimensional ones, and single numbers, are the probability of label 1.
    labels : array or list, shape of the rows; or floating array, shape of `probabilities`
        What happened: integers or bools, the column of each row's class; with `classes`, names of any kind. Floating
        labels are distributions ``t`` (of one-dimensional probabilities, the probability of label 1). One-hot
        integers are ``crossentropy.targets.OneHot(labels)``.
    log_probabilities : array, shape as `probabilities`
        Their natural logarithms, in place of them; they keep the digits that a tiny probability loses.
    classes : sequence of C labels, optional
        The label of each column, in the order of the columns: strings, integers or others, each once. It is
        ``model.classes_`` of a scikit-learn model, and ``(negative, positive)`` for one-dimensional probabilities,
        such as ``(-1, 1)``. Columns in sorted order of the labels are ``classes=numpy.unique(labels)``, provided
        that every class occurs.
    class_weight : array (C,), optional
    sample_weight : array, shape of the rows, optional
        Rows of weight 0 cost 0 whatever was predicted.
    ignore_index : int, or any label if there are `classes`, optional
        A label whose rows are left out.
    normalize : bool, default False
        Divide each distribution by its sum, instead of refusing one that does not sum to one; counts will do.
    reduction, normalizer
        As in `crossentropy.softmax_cross_entropy`.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean when there is nothing to average. It is no score, so NaN comes with a warning.
    validate : {"raise", "none"}
        Whether distributions and labels are checked.

    Returns
    -------
    array () or the rows' shape
        The loss in nats; divide by ``ln 2`` for bits. Float64 for float64 input, else float32. Gradients flow to
        predictions, floating labels and `sample_weight`.

    Raises
    ------
    ValueError
        If a distribution does not sum to one, a probability is outside [0, 1], a label is none of the classes, or
        shapes do not fit.
    TypeError
        If predictions are not floating, labels are names without `classes`, or labels of the shape of indices are
        floating.

    Notes
    -----
    A sum may miss 1 by 1e-9 in float64, 1e-5 in float32, 1e-3 in float16, 3e-3 in bfloat16, and where that does not
    suffice by what the numbers can have lost before they came: as float32 (or narrower) numbers if all of them fit
    into it, and by half a unit of the last place of each if all are decimals of 2 to 8 places or 2 to 9 digits. Such
    predictions are taken as they are.

    Examples
    --------
    >>> import numpy as np
    >>> predicted = np.asarray([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    >>> log_loss(predicted, np.asarray([0, 1, 2]), reduction="none").round(7)
    array([0.2231436, 0.3566749, 0.3566749])
    >>> float(log_loss(predicted, ["dog", "bird", "cat"], classes=["dog", "bird", "cat"]).round(7))
    0.3121645
    >>> float(log_loss(np.asarray([0.99, 0.2]), np.asarray([1, 1])).round(7))
    0.8097441
    """
    if (probabilities is None) == (log_probabilities is None):
        raise TypeError("pass either probabilities or log_probabilities, and labels")
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    if probabilities is not None:
        check_order(probabilities, labels, normalize=normalize)
        p = take_predictions(probabilities, in_logs=False, normalize=normalize)
    else:
        p = take_predictions(log_probabilities, in_logs=True, normalize=normalize)
    weight = class_vector(class_weight, p.values, p.classes, "class_weight")
    sample = row_values(sample_weight, p.values, p.rows, "sample_weight")
    truth = resolve_truth(labels, p, classes, ignore_index, sample, checked=checked)
    of_rows = _of_indices if truth.masses is None else _of_masses
    log_p, mass, keep = of_rows(p, truth, weight, None if sample is None else sample != 0, checked=checked)
    xp = namespace(log_p)
    omega = None if sample is None else xp.astype(sample, log_p.dtype)
    if keep is not None:
        omega = xp.where(keep, xp.ones_like(log_p) if omega is None else omega, xp.zeros_like(log_p))
    value = reduce_scores(
        "log_loss",
        -log_p,
        mass,
        omega,
        math.prod(p.rows) if keep is None else keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        checked=checked,
    )
    return in_loss_dtype(value, p.values)


def _of_indices(
    p: Predictions, truth: Truth, weight: Array | None, counted: Array | None, *, checked: bool
) -> tuple[Array, Array | None, Array | None]:
    """``w_y ln p_y``, ``w_y`` (None for 1) and which rows are not ignored, if any may be."""
    xp, y = namespace(p.values), truth.indices
    keep = None if truth.ignore_index is None else y != truth.ignore_index
    outside = (y < 0) | (y >= p.classes)
    bad = outside if keep is None else outside & keep
    any_bad = is_true(xp.any(bad))
    if checked and any_bad:
        raise bad_label_error(y, first_true(bad), p, truth.ignore_index)
    clean = is_numpy(y) and not any_bad and keep is None  # nothing to work around: no array is made for it
    safe = y if clean else xp.where(outside, 0 * y, y)
    if keep is not None:
        counted = keep if counted is None else keep & counted
    if p.is_binary:
        yes = xp.astype(safe, widest_dtype(p.values))
        log_p = binary_log_prob(p, yes, 1 - yes, counted, checked=checked)
    else:
        log_p = label_log_prob(p, safe, counted, checked=checked)
    if not clean:
        log_p = xp.where(bad, xp.full_like(log_p, float("nan")), log_p)
    if weight is None:
        return log_p, None, keep
    mass = xp.reshape(xp.take(weight, xp.reshape(safe, (-1,)), axis=0), tuple(y.shape))
    mass = xp.astype(mass, log_p.dtype)
    return weigh(mass, log_p), mass, keep


def _of_masses(
    p: Predictions, truth: Truth, weight: Array | None, counted: Array | None, *, checked: bool
) -> tuple[Array, Array, None]:
    """``Σ_c w_c t_c ln p_c``, ``Σ_c w_c t_c``, and no rows that are ignored."""
    if checked:
        check_masses(truth, p, counted)
    t = widened(truth.masses)
    xp = namespace(t)
    weight = None if weight is None else xp.astype(weight, t.dtype)
    if p.is_binary:
        yes, no = (t, 1 - t) if weight is None else (weight[1] * t, weight[0] * (1 - t))
        return binary_log_prob(p, yes, no, counted, checked=checked), yes + no, None
    masses = t if weight is None else t * weight
    return soft_log_prob(p, masses, counted, checked=checked), xp.sum(masses, axis=-1), None
