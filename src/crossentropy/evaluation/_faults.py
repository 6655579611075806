"""Rows that cannot be scored: what is wrong with them, and what becomes of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._row_scores import native_matrix
from crossentropy.evaluation._values import are_texts, as_array, as_label, is_missing

__all__ = [
    "POLICIES",
    "SKIPPING",
    "BadData",
    "Fault",
    "find_faults",
    "missing_values",
    "row_sums",
    "skips",
    "sum_tolerance",
    "without_skipping",
]

Array = np.ndarray[Any, Any]
POLICIES = ("error", "skip")
#: What the message about a bad row ends with.
SKIPPING = '. on_bad_rows="skip" leaves such rows out and counts them'
#: The most that weights, finite logits and log-probabilities may be in size; a weight of less than 1 / MOST must be 0.
#: Products of them, and squares, are then far from the ends of float64.
MOST = 1e100


class BadData(ValueError):
    """Data that cannot be scored as they were declared: a row, a file, a column."""


class Fault(NamedTuple):
    """A kind of fault, the rows that have it, and the sentence about one of them."""

    kind: str
    rows: Array
    sentence: Callable[[int], str]


def skips(on_bad_rows: str) -> bool:
    """Tell whether bad rows are left out, or an error."""
    if on_bad_rows not in POLICIES:
        raise ValueError(f'on_bad_rows is {on_bad_rows!r}; pass "error" or "skip"')
    return on_bad_rows == "skip"


@contextmanager
def without_skipping() -> Iterator[None]:
    """Take the advice to skip bad rows out of errors, for a caller that cannot leave rows out."""
    try:
        yield
    except BadData as error:
        raise BadData(str(error).removesuffix(SKIPPING)) from error.__cause__


def sum_tolerance(dtype: Any, classes: int) -> float:
    """Return how far the sum of a distribution may be from 1, where the caller does not say.

    1e-5 and 2⁻²⁴ for each class: float64 columns often hold what was computed in float32. 1e-3 for float16.
    """
    return (1e-3 if np.dtype(dtype) == np.float16 else 1e-5) + classes * 2.0**-24


def find_faults(
    d: Declaration, x: Array, labels: Array, named: Any, weight: Array | None, tolerance: float
) -> Iterator[Fault]:
    """Find rows whose predictions, labels or weights are not what was declared.

    Parameters
    ----------
    d : Declaration
    x : float32 or float64 array (n,) or (n, C), rows contiguous
        Predictions.
    labels : int64 array (n,), −1 where a label is none of the classes; or float64 array, shape of `x`
    named : array (n,)
        The labels as they were given.
    weight : float64 array (n,), optional
    tolerance : float
        How far sums may be from 1.
    """
    if weight is not None and not (weight.min(initial=1) >= 1 / MOST and weight.max(initial=1) <= MOST):
        yield Fault("weight", ~_are_weights(weight), lambda i: _wrong_weight(weight[i]))
    yield from _prediction_faults(d, x, tolerance)
    if not d.soft:
        if labels.min(initial=0) < 0:
            yield Fault("label", labels < 0, lambda i: _unknown_label(d, named[i]))
    elif not (labels.min(initial=0) >= 0 and labels.max(initial=0) <= 1):
        wrong = _row_wise(~((labels >= 0) & (labels <= 1)))
        yield Fault(
            "label",
            wrong,
            lambda i: f"the soft label is {labels[i].tolist()}; pass probabilities, from 0 to 1",
        )
    elif labels.ndim == 2:
        yield from _sum_faults(labels, "the soft label sums to", "label", False, tolerance)


def missing_values(values: Any, what: str) -> Iterator[Fault]:
    """Find rows of a column that have no value."""
    missing = _missing(values)
    if missing is not None and missing.any():
        yield Fault("null", missing, lambda i: f"the {what} is missing; fill it in")


def _missing(values: Any) -> Array | None:
    if isinstance(values, Coded):
        return np.asarray([is_missing(x) for x in values.values], bool)[values.codes]
    if values is None or isinstance(values, range):
        return None
    array = as_array(values)
    if array.dtype.kind in "fmM":
        return array != array  # NaN and NaT
    if array.dtype.kind != "O" or are_texts(array):
        return None
    return np.asarray([is_missing(x) for x in array.tolist()], bool)


def _are_weights(weight: Array) -> Array:
    return (weight == 0) | ((weight >= 1 / MOST) & (weight <= MOST))


def _wrong_weight(weight: float) -> str:
    if 0 < weight < np.inf:
        return f"the weight is {weight}; divide all weights by one number, so that they are from {1 / MOST} to {MOST}"
    return f"the weight is {weight}; weights are finite and not negative"


def _prediction_faults(d: Declaration, x: Array, tolerance: float) -> Iterator[Fault]:
    if d.kind == "logits":
        if not _is_moderate(x):
            yield from _logit_faults(x)
            yield from _size_faults(x)
    elif x.ndim == 2:
        yield from _outside_faults(d, x, tolerance)
        if d.kind == "log_proba" and not _is_moderate(x):
            yield from _size_faults(x)
    elif not (_are_logarithms(x) if d.kind == "log_proba" else _are_probabilities(x)):
        yield from _range_faults(d, x)
        yield from _size_faults(x)


def _are_logarithms(x: Array) -> bool:
    return float(x.min(initial=0)) >= -MOST and float(x.max(initial=0)) <= 0.0


def _are_probabilities(x: Array) -> bool:
    """Tell whether all numbers are from 0 to 1; False for −0 too. The bits of others are above those of 1."""
    bits = np.uint32 if x.dtype == np.float32 else np.uint64
    return bool(x.view(bits).max(initial=0) <= np.ones(1, x.dtype).view(bits)[0])


def _is_moderate(x: Array) -> bool:
    """Tell whether all numbers are finite and at most `MOST` in size."""
    return float(x.min(initial=0)) >= -MOST and float(x.max(initial=0)) <= MOST  # a NaN is neither


def _size_faults(x: Array) -> Iterator[Fault]:
    wrong = (np.abs(x) > np.float64(MOST)) & np.isfinite(x)
    if wrong.any():
        words = "a prediction is {}; they are at most {} in size, or infinite"
        yield Fault("range", _row_wise(wrong), lambda i: words.format(_first(x[i], wrong[i]), MOST))


def _first(row: Any, wrong: Any) -> float:
    return float(row if np.ndim(row) == 0 else row[wrong][0])


def _logit_faults(x: Array) -> Iterator[Fault]:
    yield Fault("nan", _row_wise(np.isnan(x)), lambda i: f"a logit is NaN, in {x[i].tolist()}")
    if x.ndim == 2:
        wrong = (x == np.inf).any(axis=1) | (x == -np.inf).all(axis=1)
        yield Fault(
            "range",
            wrong,
            lambda i: f"the logits are {x[i].tolist()}, which have no softmax; one is +inf, or all are −inf",
        )


def _outside_faults(d: Declaration, x: Array, tolerance: float) -> Iterator[Fault]:
    logs = d.kind == "log_proba"
    faults = list(
        _sum_faults(x, "the probabilities sum to", "sum", logs, np.inf if d.clip == "kaggle" else tolerance)
    )
    if faults and faults[0].kind == "range":
        yield from _range_faults(d, x)
    yield from (fault for fault in faults if fault.kind != "range")


def _sum_faults(x: Array, words: str, kind: str, logs: bool, tolerance: float) -> Iterator[Fault]:
    """Find rows that do not sum to 1, and before them a fault "range" if numbers are outside their range."""
    totals = row_sums(x, logs=logs)
    outside = np.isnan(totals)
    if outside.any():
        yield Fault("range", outside, lambda i: f"{x[i].tolist()} has numbers outside their range")
    wrong = (np.abs(totals - 1) > tolerance) | (totals == 0)
    if wrong.any():
        yield Fault(
            kind,
            wrong,
            lambda i: (
                f"{words} {totals[i]:.9g}, not to 1 within {tolerance:.2g}; pass distributions, or a larger "
                "sum_tolerance if they were rounded"
            ),
        )


def row_sums(x: Array, *, logs: bool = False) -> Array:
    """Add up the probabilities of each row (n, C), class after class; NaN where one is outside its range."""
    totals = np.empty(len(x))
    _native.row_totals(native_matrix(x), logs, NumpyMemory.address(totals))
    return totals


def _range_faults(d: Declaration, x: Array) -> Iterator[Fault]:
    nan = np.isnan(x)
    if nan.any():
        yield Fault("nan", _row_wise(nan), lambda i: f"a prediction is NaN, in {x[i].tolist()}")
    if d.kind == "log_proba":
        words, wrong = (
            "the log-probability is {}; it must be at most 0. Pass logits= if these are logits",
            x > 0,
        )
    else:
        words = "the probability is {}; it must be from 0 to 1. Pass logits= or log_proba= if these are such"
        wrong = (x < 0) | (x > 1)
        if wrong.any() and x.min() >= 0 and x.max() <= 100:
            words += ", and divide percentages by 100"
    if wrong.any():
        yield Fault("range", _row_wise(wrong), lambda i: words.format(_first(x[i], wrong[i])))


def _row_wise(mask: Array) -> Array:
    return mask if mask.ndim == 1 else np.asarray(mask.any(axis=1))


def _unknown_label(d: Declaration, label: Any) -> str:
    classes = list(d.classes)
    shown = (
        repr(classes) if len(classes) <= 10 else f"[{', '.join(map(repr, classes[:8]))}, …, {classes[-1]!r}]"
    )
    if is_missing(label):
        return f"the label is {label}, which stands for a missing value; fill it in"
    label = as_label(label)
    words = f"the label is {label!r}, which is not among the classes {shown}"
    alike = next((c for c in classes if str(c).casefold() == str(label).strip().casefold()), None)
    if isinstance(label, str) and isinstance(alike, str):
        return f"{words}; it is {alike!r} but for spaces or capitals: write both alike"
    if isinstance(label, float) and not label.is_integer():
        return f"{words}; pass soft_labels=True if labels are probabilities"
    if isinstance(label, str) != isinstance(classes[0], str):
        return f"{words}: labels and classes have different types; pass classes of the type of the labels"
    return f"{words}; pass every class in classes=, in the order of the columns"
