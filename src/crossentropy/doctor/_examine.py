"""Look at predictions and labels for every fault that shows in them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from crossentropy._arguments.arrays import as_numpy
from crossentropy._arguments.errors import argument_errors, integer
from crossentropy.doctor._forms import READ_AS, form_findings, normalized_axis
from crossentropy.doctor._labels import (
    label_range_findings,
    padding_findings,
    permutation_findings,
    saving_is_beyond_chance,
)
from crossentropy.doctor._learning import learning_findings, temperature_findings
from crossentropy.doctor._numbers import (
    finite_rows,
    half_precision_finding,
    loss_in_half,
    number_findings,
    saturation_findings,
)
from crossentropy.doctor._sample import Array, Sample, is_half, make_sample
from crossentropy.doctor.finding import Finding, Report

__all__ = ["examine", "examine_sample"]

KINDS = ("logits", "probabilities", "log_probabilities")


@argument_errors
def examine(
    logits: Any = None,
    labels: Any = None,
    *,
    probabilities: Any = None,
    log_probabilities: Any = None,
    axis: int = -1,
    ignore_index: int | None = None,
) -> Report:
    """Find what is wrong with predictions, their labels, and the way that the loss is to be called with them.

    Every fault is found by numbers that the finding shows: sums of rows, and the loss against its floor, against the
    entropy of the label frequencies, and against the loss under the best other order of the labels.

    Parameters
    ----------
    logits : array (..., C, ...), or (n,) log-odds of a yes
        Predictions of any library.
    labels : array
        Integers in the shape of the predictions without `axis` are classes; in their whole shape, yes-or-no answers to
        C questions. Floats in the whole shape that sum to one along `axis` are distributions.
    probabilities, log_probabilities : array, optional
        Instead of `logits`.
    axis : int, default -1
        The axis of the classes; 1 for (N, C, …) as PyTorch has them.
    ignore_index : int, optional
        The label whose rows are left out.

    Returns
    -------
    Report
        The findings, the most severe first, with their cost in nats; and what could not be seen.

    Raises
    ------
    TypeError
        If not exactly one kind of predictions is passed, or an argument does not hold numbers.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> r = np.random.default_rng(0)
    >>> labels = r.integers(1, 5, size=200)  # counted from 1
    >>> report = examine(r.normal(size=(200, 4)), labels)
    >>> report[0].name, report[0].instead
    ('labels_from_one', 'loss = cross_entropy(logits, labels - 1)')
    """
    given = dict(zip(KINDS, (logits, probabilities, log_probabilities), strict=True))
    kinds = [kind for kind in KINDS if given[kind] is not None]
    if len(kinds) != 1 or labels is None:
        passed = " and ".join([*kinds, *(["labels"] if labels is not None else [])]) or "nothing"
        raise TypeError(f"pass one of {', '.join(KINDS)}, and labels; passed: {passed}")
    (kind,) = kinds
    if ignore_index is not None:
        integer(ignore_index, "ignore_index")
    x, y = as_numpy(given[kind], kind), as_numpy(labels, "labels")
    if x.ndim == 0 or not x.size:
        raise ValueError(f"{kind} have shape {x.shape}; pass predictions of one row or more")
    return _examine(kind, x, y, axis, ignore_index, is_half(given[kind]))


def _examine(kind: str, x: Array, y: Array, axis: int, ignore_index: int | None, half: str) -> Report:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis is {axis}, and {kind} have shape {x.shape}; pass the axis of the classes")
    findings: list[Finding] = []
    unseen: list[str] = []
    shape = tuple(np.delete(x.shape, axis).tolist())
    sigmoid = x.ndim == 1 or y.shape == x.shape
    if x.ndim > 1 and y.shape == x.shape and _are_distributions_of_labels(y, axis):
        sigmoid = False
        if y.dtype.kind in "biu":
            findings.append(_one_hot(x, axis))
        else:
            unseen.append("soft labels: each row was judged by its most probable class")
        y = y.argmax(axis=axis)
    elif not sigmoid and y.shape != shape:
        other = next((k for k in range(x.ndim) if y.shape == tuple(np.delete(x.shape, k))), None)
        if other is None:
            raise ValueError(
                f"labels have shape {y.shape} and {kind} {x.shape}; pass one class for each row, of shape {shape}, or "
                f"yes-or-no answers of shape {x.shape}"
            )
        findings.append(_axis_by_shape(x, y, axis, other))
        axis = other
    if not sigmoid and y.dtype.kind == "f":
        if not (y == np.round(y)).all():
            raise ValueError(
                f"labels are floating, of shape {y.shape}; pass classes as integers, or distributions of shape "
                f"{x.shape}"
            )
        y = y.astype(np.int64)
    sample = make_sample(kind, x, y, axis=axis, ignore_index=ignore_index, sigmoid=sigmoid, half=half)
    if not sigmoid and not findings:
        findings += _axis_by_values(kind, x, y, axis, ignore_index)
    if not any(f.name == "class_axis" and f.instead != f"axis={axis}" for f in findings):
        findings += examine_sample(sample)
    unseen += _unseen(sample, [f.name for f in findings])
    what = f"{sample.classes} yes-or-no questions" if sigmoid else f"{sample.classes} classes"
    return Report(findings, unseen, f"{len(sample):,} rows of {what}, {kind.replace('_', '-')}")


def examine_sample(sample: Sample) -> Iterator[Finding]:
    """Look at rows for every fault; those that would be consequences of an earlier one are not looked for."""
    yield from number_findings(sample)
    sample = sample.take(finite_rows(sample))
    if not len(sample):
        return
    ranges = list(label_range_findings(sample))
    yield from ranges
    if sample.sigmoid and ranges:
        return
    sample = sample.take(sample.in_range)
    forms = list(form_findings(sample))
    yield from forms
    if any(f.name == "labels_from_one" for f in ranges) or any(
        f.name == "unnormalized_probabilities" for f in forms
    ):
        return
    other = next((f.name for f in forms if f.name in READ_AS), None)
    if other is not None:
        sample = sample.read_as(READ_AS[other], sample.x / 100 if other == "percentages" else sample.x)
    if not len(sample):
        return
    yield from padding_findings(sample)
    yield from saturation_findings(sample)
    if sample.half and not sample.sigmoid and sample.kind == "logits":
        exact = float(np.mean(sample.losses))
        instead = "loss = cross_entropy(logits.float(), labels)  # crossentropy.torch's is float32 by itself"
        yield from half_precision_finding(sample.half, loss_in_half(sample), exact, instead)
    permuted = list(permutation_findings(sample))
    yield from permuted
    if not permuted and other is None:
        yield from learning_findings(sample)
        yield from temperature_findings(sample)


def _are_distributions_of_labels(y: Array, axis: int) -> bool:
    """Tell whether labels in the shape of the predictions are distributions of classes: one-hot, or soft."""
    if y.shape[axis] < 2 or y.min() < 0 or y.max() > 1:
        return False
    rows = y.size // y.shape[axis]
    certain = y.dtype.kind in "biu"
    return bool((np.abs(y.sum(axis=axis, dtype=np.float64) - 1) < 1e-3).all()) and (not certain or rows >= 8)


def _one_hot(x: Array, axis: int) -> Finding:
    C = x.shape[axis]
    return Finding(
        "integer_one_hot",
        f"The labels are one-hot integers of the shape of the predictions: each row of {C} has a single 1. A loss of "
        "classes takes their numbers; one of yes-or-no questions takes them for C questions, and is another loss.",
        {"shape_of_labels": str(x.shape), "classes": C},
        f"loss = cross_entropy(logits, labels.argmax({axis}))  # or labels as floats",
    )


def _axis_by_shape(x: Array, y: Array, axis: int, other: int) -> Finding:
    return Finding(
        "class_axis",
        f"The classes are on axis {other} and not on axis {axis}: labels of shape {y.shape} are the predictions "
        f"without axis {other}.",
        {"shape_of_predictions": str(x.shape), "shape_of_labels": str(y.shape)},
        f"axis={other}",
    )


def _axis_by_values(kind: str, x: Array, y: Array, axis: int, ignore_index: int | None) -> Iterator[Finding]:
    """Find classes on another axis: by sums that are 1, or by the loss where labels fit both."""
    other = normalized_axis(x, axis)
    if other is not None and not (x.shape[other] == x.shape[axis] and x.ndim == 2 and len(x) < 3):
        yield Finding(
            "class_axis",
            f"The softmax was taken along axis {other}: probabilities sum to 1 there, and not along "
            f"axis {axis % x.ndim}, that of the classes.",
            {"shape_of_predictions": str(x.shape), "mean_sum_of_the_classes": _mean_sum(x, axis)},
            f"softmax(scores, {axis % x.ndim})",
        )
        return
    fits = [
        k
        for k in range(x.ndim)
        if k != axis % x.ndim and y.shape == tuple(np.delete(x.shape, k)) and y.max(initial=0) < x.shape[k]
    ]
    if not fits or x.ndim < 3:
        return
    here, there = (
        make_sample(kind, x, y, axis=k, ignore_index=ignore_index, sigmoid=False) for k in (axis, fits[0])
    )
    if not (finite_rows(here) & finite_rows(there)).all() or here.labels.min(initial=0) < 0:
        return
    saving = here.losses - there.losses
    if saving_is_beyond_chance(saving) and there.loss < 0.9 * there.entropy:
        yield Finding(
            "class_axis",
            f"The labels fit the classes on axis {fits[0]} far better than on axis {axis % x.ndim}.",
            {"loss_as_called": here.loss, f"loss_with_axis_{fits[0]}": there.loss, "shape": str(x.shape)},
            f"axis={fits[0]}",
            cost=float(saving.mean()),
        )


def _mean_sum(x: Array, axis: int) -> float:
    p = np.exp(x) if x.max() <= 0 else x
    return float(p.sum(axis=axis).mean())


def _unseen(sample: Sample, found: list[str]) -> list[str]:
    """Say what could not be seen in these rows, and why."""
    import importlib.util

    unseen = [
        "what happens in training: gradients, reductions, accumulation; crossentropy.doctor.watch sees these"
    ]
    if not sample.sigmoid and importlib.util.find_spec("scipy") is None:
        unseen.append(
            "labels in another order than the columns, but for a shift by one: SciPy is not installed"
        )
    if len(sample) < 100:
        unseen.append(
            f"whether anything was learned, and calibration: {len(sample)} rows are too few to tell"
        )
    if sample.sigmoid and sample.classes > 1:
        unseen.append("calibration of several yes-or-no questions")
    if {"class_axis", *READ_AS, "labels_permuted", "labels_from_one"} & set(found):
        unseen.append("what the fault above may hide: examine again when it is mended")
    if "not_finite" in found:
        unseen.append("all else about the rows that are not finite; they were left out of the other checks")
    return unseen
