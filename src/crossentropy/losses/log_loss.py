"""Cross-entropy of predictions that are probabilities already."""

from typing import Any

from crossentropy.backends import (
    as_arrays,
    as_indices,
    expm1,
    first_true,
    is_numpy,
    is_true,
    namespace,
    number_of,
    sum_tolerance,
    taken_along,
)
from crossentropy.kernels import _native
from crossentropy.losses._softmax_problem import check_validate
from crossentropy.reductions import check_reduction, negative_weight_error, reduce_rows
from crossentropy.statistics.labels import bad_label_error
from crossentropy.statistics.memory import CODES, NumpyMemory
from crossentropy.statistics.native import lay_out
from crossentropy.statistics.reference import widened
from crossentropy.weights import class_vector, row_values

__all__ = ["log_loss"]

Array = Any


def log_loss(
    probabilities: Array | None = None,
    labels: Array = None,
    *,
    log_probabilities: Array | None = None,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Negative log-probability that predictions gave to what happened.

    .. math:: \ell = -\omega\, w_y \ln p_y

    Nothing is clipped and nothing is renormalised: an impossible event that happened costs infinity.

    Parameters
    ----------
    probabilities : array (..., C), or (N,) for two classes, floating
        Predicted distributions; one-dimensional ones are the probability of label 1.
    labels : integer or bool array, shape of the rows
        What happened.
    log_probabilities : array, shape as `probabilities`
        Their natural logarithms, in place of them; they keep the digits that a tiny probability loses.
    class_weight : array (C,), optional
    sample_weight : array, shape of the rows, optional
        Rows of weight 0 cost 0 whatever was predicted.
    ignore_index : int, optional
        A label whose rows are left out.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.
    validate : {"raise", "none"}
        Whether distributions and labels are checked.

    Returns
    -------
    array () or the rows' shape
        The loss in nats; divide by ``ln 2`` for bits. Float64 for float64 input, else float32.

    Raises
    ------
    ValueError
        If a distribution does not sum to one (within 1e-9 in float64, 1e-5 in float32, 1e-3 in float16, 3e-3
        in bfloat16), a probability is outside [0, 1], a label is outside the classes, or shapes do not fit.
    TypeError
        If predictions are not floating, or labels are.

    Examples
    --------
    >>> import numpy as np
    >>> predicted = np.asarray([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    >>> log_loss(predicted, np.asarray([0, 1, 2]), reduction="none").round(7)
    array([0.2231436, 0.3566749, 0.3566749])
    >>> float(log_loss(np.asarray([0.99, 0.2]), np.asarray([1, 1])).round(7))
    0.8097441
    """
    if (probabilities is None) == (log_probabilities is None):
        raise TypeError("pass either probabilities or log_probabilities, and labels")
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    in_logs = probabilities is None
    _, (p, y) = as_arrays(log_probabilities if in_logs else probabilities, labels)
    xp = namespace(p)
    _check_forms(p, y)
    binary = p.ndim == 1
    classes = 2 if binary else p.shape[-1]
    weight = class_vector(class_weight, p, classes, "class_weight")
    rows = tuple(y.shape)
    sample = row_values(sample_weight, p, rows, "sample_weight")
    labels64 = as_indices(y)
    keep = None if ignore_index is None else labels64 != ignore_index
    bad = (labels64 < 0) | (labels64 >= classes)
    bad = bad if keep is None else bad & keep
    any_bad = is_true(xp.any(bad))
    if checked and any_bad:
        row = int(xp.argmax(xp.reshape(xp.astype(bad, xp.int32), (-1,))))
        raise bad_label_error(y, row, classes, ignore_index)
    clean = is_numpy(p) and not any_bad and keep is None  # nothing to work around: no array is made for it
    safe = labels64 if clean else xp.where((labels64 < 0) | (labels64 >= classes), 0 * labels64, labels64)
    counted = keep if sample is None else (sample != 0 if keep is None else keep & (sample != 0))
    log_p = (_of_label_one if binary else _of_labels)(p, safe, counted, in_logs, checked)
    if not clean:
        log_p = xp.where(bad, xp.full_like(log_p, float("nan")), log_p)
    masses = _row_masses(log_p, safe, weight, sample, keep)
    if masses is None:
        losses, masses = -log_p, log_p
        normalizer = "count" if isinstance(normalizer, str) else normalizer
    else:
        nothing = masses == 0
        losses = xp.where(nothing, 0 * masses, -masses * xp.where(nothing, 0 * masses, log_p))
    averaged = reduction == "mean" and isinstance(normalizer, str) and normalizer == "weight"
    if averaged and checked and is_true(xp.any(masses < 0)):
        raise negative_weight_error(float(xp.min(masses)))
    rows_counted = number_of(rows, p) if keep is None else keep
    value = reduce_rows(losses, masses, rows_counted, reduction=reduction, normalizer=normalizer, empty=empty)
    return xp.astype(value, p.dtype if p.dtype == xp.float64 else xp.float32)


def _row_masses(
    log_p: Array, y: Array, weight: Array | None, sample: Array | None, keep: Array | None
) -> Array | None:
    """``ω w_y`` of every row, 0 where ignored; None stands for 1."""
    xp = namespace(log_p)
    masses = None
    if weight is not None:
        by_row = xp.reshape(xp.take(weight, xp.reshape(y, (-1,)), axis=0), tuple(y.shape))
        masses = xp.astype(by_row, log_p.dtype)
    if sample is not None:
        own = xp.astype(sample, log_p.dtype)
        masses = own if masses is None else masses * own
    if keep is not None:
        masses = xp.ones_like(log_p) if masses is None else masses
        masses = xp.where(keep, masses, xp.zeros_like(masses))
    return masses


def _check_forms(p: Array, y: Array) -> None:
    xp = namespace(p, y)
    if not xp.isdtype(p.dtype, "real floating"):
        raise TypeError(f"predictions have dtype {p.dtype}; pass floating-point probabilities")
    if not xp.isdtype(y.dtype, ("integral", "bool")):
        raise TypeError(f"labels have dtype {y.dtype}; pass class indices as integers, labels.astype(int)")
    rows = tuple(p.shape) if p.ndim == 1 else tuple(p.shape[:-1])
    if p.ndim == 0 or tuple(y.shape) != rows:
        raise ValueError(
            f"labels have shape {tuple(y.shape)}, but predictions of shape {tuple(p.shape)} need shape {rows}; "
            "one-dimensional predictions are the probability of label 1"
        )


def _of_label_one(p: Array, y: Array, counted: Array | None, in_logs: bool, checked: bool) -> Array:
    """Log-probability of binary labels from that of label 1."""
    xp = namespace(p)
    p = widened(p)
    if checked:
        wrong = ~((p <= 0) if in_logs else (p >= 0) & (p <= 1))
        wrong = wrong if counted is None else wrong & counted
        if is_true(xp.any(wrong)):
            row = first_true(wrong)[0]
            what = "log-probability" if in_logs else "probability"
            bounds = "at most 0" if in_logs else "from 0 to 1"
            raise ValueError(f"the {what} of row {row} is {float(p[row]):.6g}; it must be {bounds}")
    if in_logs:
        return xp.where(y == 1, p, log_one_minus_exp(p))
    zero = xp.zeros_like(p)
    own = xp.where(y == 1, p, 1 - p)
    impossible = own == 0
    one = xp.ones_like(p)
    log_p = xp.where(
        y == 1,
        xp.log(xp.where((y == 1) & ~impossible, p, one)),
        xp.log1p(-xp.where((y == 1) | impossible, zero, p)),
    )
    return xp.where(impossible, xp.full_like(p, -float("inf")), log_p)


def log_one_minus_exp(log_p: Array) -> Array:
    """``ln(1 − e^x)`` for x ≤ 0, by whichever of two forms keeps its digits."""
    xp = namespace(log_p)
    near = log_p > -0.6931471805599453
    return xp.where(
        near,
        xp.log(-expm1(xp.where(near, log_p, -xp.ones_like(log_p)))),
        xp.log1p(-xp.exp(xp.where(near, -xp.ones_like(log_p), log_p))),
    )


def _of_labels(p: Array, y: Array, counted: Array | None, in_logs: bool, checked: bool) -> Array:
    """Log-probability of class labels."""
    xp = namespace(p)
    if is_numpy(p) and p.dtype.name in CODES and not in_logs:
        sums, own = _native_rows(p, y)
    else:
        wide = widened(p)
        own = taken_along(wide, y[..., None], -1)[..., 0]
        mass = xp.exp(wide) if in_logs else wide
        negative = xp.any(mass < 0, axis=-1)
        sums = xp.where(negative, xp.full_like(own, float("nan")), xp.sum(mass, axis=-1)) if checked else own
    if checked:
        _check_distributions(p, sums, counted)
    if in_logs:
        return own
    if is_numpy(own) and bool((own > 0).all()):
        return xp.log(own)
    # spelled out where it is no number, of which NumPy would warn
    log_p = xp.log(xp.where(own > 0, own, xp.ones_like(own)))
    no_number = xp.where(own == 0, xp.full_like(own, -float("inf")), xp.full_like(own, float("nan")))
    return xp.where(own > 0, log_p, no_number)


def _native_rows(p: Array, y: Array) -> tuple[Array, Array]:
    """Sum and labelled entry of every row, in one read."""
    layout = lay_out(NumpyMemory, p, p.ndim - 1)
    shape = _native.Shape(layout.outer, layout.classes, layout.inner)
    sums, own = NumpyMemory.planes(2, tuple(y.shape))
    y = NumpyMemory.contiguous(y, "int64")
    address = NumpyMemory.address
    _native.probability_rows(
        layout.view(NumpyMemory), shape, address(y), address(sums), address(own), NumpyMemory.threads()
    )
    return sums, own


def _check_distributions(p: Array, sums: Array, counted: Array | None) -> None:
    xp = namespace(p)
    wrong = ~(xp.abs(sums - 1) <= sum_tolerance(p))
    wrong = wrong if counted is None else wrong & counted
    if not is_true(xp.any(wrong)):
        return
    row = first_true(wrong)
    where = row[0] if len(row) == 1 else row
    if bool(sums[row] != sums[row]):
        raise ValueError(f"the distribution of row {where} has an entry that is negative or NaN")
    raise ValueError(
        f"the distribution of row {where} sums to {float(sums[row]):.6g}, not to 1; normalise it. "
        "If these are logits, pass them to crossentropy.softmax_cross_entropy"
    )
