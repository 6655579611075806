"""Cross-entropy of predictions that are probabilities already."""

from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, namespace, widest_dtype
from crossentropy._backends.conditions import entry_at
from crossentropy._engine.checks import check_validate
from crossentropy._engine.probabilities.labels import resolve_truth, take
from crossentropy._engine.probabilities.predictions import Predictions, binary_log_prob
from crossentropy._engine.probabilities.row_log_prob import row_log_prob
from crossentropy._engine.probabilities.scores import reduce_scores
from crossentropy._engine.reductions import check_reduction
from crossentropy._engine.rows.reduce import in_loss_dtype
from crossentropy._engine.sigmoid.labels import check_binary_labels, valid_labels
from crossentropy._engine.weights import class_vector, like, row_values
from crossentropy._rows import entry_in_words

__all__ = ["binary_log_loss", "log_loss"]


@argument_errors
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
    in_logs = probabilities is None
    values = log_probabilities if in_logs else probabilities
    p, labels = take(values, labels, classes=classes, in_logs=in_logs, normalize=normalize)
    weight = class_vector(class_weight, p.values, p.classes, "class_weight")
    sample = row_values(sample_weight, p.values, p.rows, "sample_weight")
    truth = resolve_truth(labels, p, classes, ignore_index, sample, checked=checked)
    counted = None if sample is None else sample != 0
    log_p, mass, keep = row_log_prob(p, truth, weight, counted, checked=checked)
    value = reduce_scores(
        "log_loss",
        -log_p,
        mass,
        sample,
        keep=keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        checked=checked,
    )
    return in_loss_dtype(value, p.values)


@argument_errors
def binary_log_loss(
    probabilities: Array,
    labels: Array,
    *,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "nan",
    validate: str = "raise",
) -> Array:
    r"""Negative log-probability of labels of which any number can be true, from the probability of each.

    .. math:: \ell = -\omega\, w_c \bigl(t \ln p + (1 - t) \ln(1 - p)\bigr)

    Nothing is clipped: an impossible event that happened costs infinity. From logits it is
    `crossentropy.sigmoid_cross_entropy`, which keeps the digits of a probability close to 1.

    Parameters
    ----------
    probabilities : array (..., C), floating
        The probability ``p`` that each of C labels is true.
    labels : array, shape of `probabilities`
        The truths ``t``: integers 0 and 1, bools, or probabilities in [0, 1].
    class_weight : array (C,), optional
        Weight ``w`` of each label.
    sample_weight : array, shape of `probabilities` or that without the last axis, optional
        Weight ``ω`` of each element or row. Where it is 0 the loss is 0, whatever was predicted.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each element.
    normalizer : {"weight", "count"}, number or array, default "weight"
        What a mean divides by: ``Σ ω w``, the number of elements, or this.
    empty : {"nan", "zero", "raise"}, default "nan"
        The mean when there is nothing to average. It is no score, so NaN comes with a warning.
    validate : {"raise", "none"}
        Whether probabilities and labels are checked.

    Returns
    -------
    array () or shape of `probabilities`
        The loss in nats: float64 for float64 probabilities, else float32. Gradients flow to `probabilities`, floating
        `labels` and `sample_weight`.

    Raises
    ------
    ValueError
        If shapes do not fit, or a probability or a label is outside [0, 1].
    TypeError
        If `probabilities` are not floating, or `labels` are no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.asarray([[0.5, 0.25], [0.75, 0.5]])
    >>> binary_log_loss(p, np.asarray([[1, 0], [1, 1]]), reduction="none").round(4)
    array([[0.6931, 0.2877],
           [0.2877, 0.6931]])
    """
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    xp, (p, t) = as_arrays(probabilities=probabilities, labels=labels)
    if not xp.isdtype(p.dtype, "real floating"):
        reverse = "; the order is (probabilities, labels)" if xp.isdtype(t.dtype, "real floating") else ""
        raise TypeError(f"probabilities have dtype {p.dtype}; pass floating-point numbers{reverse}")
    if not xp.isdtype(t.dtype, ("real floating", "integral", "bool")):
        raise TypeError(f"labels have dtype {t.dtype}; pass 0 and 1, bools, or probabilities")
    if tuple(t.shape) != tuple(p.shape):
        raise ValueError(
            f"labels have shape {tuple(t.shape)}, but probabilities have shape {tuple(p.shape)}; pass one label for "
            "each of them, or classes, one for each row, to log_loss"
        )
    weight = class_vector(class_weight, p, int(p.shape[-1]) if p.ndim else 1, "class_weight")
    omega = None if sample_weight is None else _element_weights(sample_weight, p)
    counted = None if omega is None else omega != 0
    if checked:
        check_binary_labels(t, valid_labels(t), counted, error=_binary_label_error)
    t = xp.astype(t, widest_dtype(p))
    yes, no = t, 1 - t
    mass = None
    if weight is not None:
        mass = xp.ones_like(t) * xp.astype(weight, t.dtype)
        yes, no = mass * yes, mass * no
    log_p = binary_log_prob(Predictions(p, in_logs=False), yes, no, counted, checked=checked)
    value = reduce_scores(
        "binary_log_loss",
        -log_p,
        mass,
        omega,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        checked=checked,
    )
    return in_loss_dtype(value, p)


def _binary_label_error(labels: Array, place: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{entry_in_words('labels', place)} is {entry_at(labels, place)}; a label is 0, 1 or a probability. To "
        "leave elements out, give them a sample_weight of 0, for example sample_weight=(labels >= 0)"
    )


def _element_weights(sample_weight: Any, p: Array) -> Array:
    """`sample_weight` as one number for each element."""
    x = like(sample_weight, p, "sample_weight")
    shape, rows = tuple(p.shape), tuple(p.shape[:-1])
    if tuple(x.shape) == shape:
        return x
    if tuple(x.shape) != rows:
        raise ValueError(
            f"sample_weight has shape {tuple(x.shape)}; pass shape {shape} or {rows}: one weight for every element, or "
            "one for every row"
        )
    return namespace(x).broadcast_to(x[..., None], shape)
