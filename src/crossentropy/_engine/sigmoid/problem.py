"""A sigmoid loss as checked arrays of one library and options, in the form that formulas and kernels use."""

import math
from dataclasses import dataclass
from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_option
from crossentropy._arguments.errors import integer, number
from crossentropy._backends import Array, device, is_numpy, is_torch, loss_dtype
from crossentropy._backends.conditions import is_false
from crossentropy._backends.dtypes import dtype_name
from crossentropy._backends.tape import Taped
from crossentropy._engine.checks import (
    as_normalizer,
    as_share,
    check_floating,
    check_validate,
    checked_link,
)
from crossentropy._engine.reductions import check_reduction, divides_by_weight
from crossentropy._engine.weights import along_another_axis
from crossentropy._rows import class_axis, rows_shape
from crossentropy.links import CrossEntropy, Link
from crossentropy.links.cross_entropy import focal_gamma

CROSS_ENTROPY = CrossEntropy()


@dataclass(slots=True, eq=False)
class Options:
    """Everything but the arrays of a problem."""

    classes: int
    inner: int  # elements between one class and the next
    axis: int
    label_smoothing: Any  # a float, or an array of one number
    link: Link
    negative_link: Link
    gamma: float | None  # γ of the two links, 0 of cross-entropy; None of links that kernels do not have
    negative_gamma: float | None
    negative_shift: Any  # a float, or an array of one number
    reduction: str
    normalizer: Any
    empty: str
    validate: bool
    divides_by_weight: bool
    divides_by_element: bool


@dataclass(slots=True, eq=False)
class Problem:
    """A sigmoid loss: its arrays and its options."""

    logits: Array
    labels: Array
    sample_weight: Array | None  # in the shape of the logits, or without their class axis
    positive_weight: Array | None  # w₊ and w₋: (C,), in the type of the loss; w₋ only beside w₊
    negative_weight: Array | None
    options: Options

    @property
    def is_weighted(self) -> bool:
        return self.sample_weight is not None or self.negative_weight is not None

    @property
    def is_taped_beside_logits(self) -> bool:
        """Tell whether any array but the logits is taped."""
        options = self.options
        return Taped in map(
            type,
            (
                *(self.labels, self.sample_weight, self.positive_weight, self.negative_weight),
                *(options.label_smoothing, options.negative_shift, options.normalizer),
                *getattr(options.link, "__dict__", {}).values(),
                *getattr(options.negative_link, "__dict__", {}).values(),
            ),
        )

    @property
    def weight_per_row(self) -> bool:
        return self.sample_weight is not None and self.sample_weight.ndim < self.logits.ndim


def make_problem(
    logits: Array,
    labels: Array,
    *,
    pos_weight: Array | float | None = None,
    label_smoothing: float = 0.0,
    class_weight: Array | float | None = None,
    sample_weight: Array | None = None,
    link: Link | None = None,
    negative_link: Link | None = None,
    negative_shift: float = 0.0,
    axis: int = -1,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Problem:
    """Check the arguments of `crossentropy.sigmoid_cross_entropy`, but for the values of its arrays."""
    check_reduction(reduction, normalizer, empty)
    integer(axis, "axis")
    label_smoothing = as_share(label_smoothing, "label_smoothing")
    if is_false((number(negative_shift, "negative_shift") >= 0) & (negative_shift < 1)):
        raise ValueError(f"negative_shift is {negative_shift}; it is taken off a probability: 0 ≤ m < 1")
    xp, (logits, labels) = as_arrays(logits=logits, labels=labels)
    _check_arrays(logits, labels)

    shape, dtype = logits.shape, loss_dtype(logits)
    axis = class_axis(axis, shape, "logits")
    classes, inner = (shape[axis], math.prod(shape[axis + 1 :])) if len(shape) > 1 else (1, 1)
    if sample_weight is not None:
        sample_weight = as_option(sample_weight, "sample_weight", logits)
        sample_weight = xp.astype(sample_weight, dtype, copy=False)
        check_sample_weight(logits, sample_weight, axis)
    # w₊ = class_weight · pos_weight and w₋ = class_weight; None is 1 for every class
    positive = negative = None
    if class_weight is not None:
        positive = negative = _class_vector("class_weight", class_weight, logits, classes, xp, dtype)
    if pos_weight is not None:
        positive = _class_vector("pos_weight", pos_weight, logits, classes, xp, dtype)
        positive = positive if negative is None else positive * negative
    link = CROSS_ENTROPY if link is None else checked_link(link, "link")
    negative_link = link if negative_link is None else checked_link(negative_link, "negative_link")
    gamma = focal_gamma(link)
    normalizer = as_normalizer(normalizer, logits)
    options = Options(
        classes=classes,
        inner=inner,
        axis=axis,
        label_smoothing=_number(label_smoothing),
        link=link,
        negative_link=negative_link,
        gamma=gamma,
        negative_gamma=gamma if negative_link is link else focal_gamma(negative_link),
        negative_shift=_number(negative_shift),
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=check_validate(validate),
        divides_by_weight=divides_by_weight(reduction, normalizer),
        divides_by_element=not isinstance(normalizer, (str, float)) and getattr(normalizer, "ndim", 0) > 0,
    )
    return Problem(logits, labels, sample_weight, positive, negative, options)


def _number(option: Any) -> Any:
    """Convert a number to a float; an array of shape (), which may be traced, passes unchanged."""
    return float(option) if isinstance(option, (int, float)) or is_numpy(option) else option


def _check_arrays(logits: Array, labels: Array) -> None:
    check_floating(logits, "logits", labels)
    if not dtype_name(labels).startswith(("float", "bfloat", "int", "uint", "bool")):
        raise TypeError(f"labels are {dtype_name(labels)}; pass 0 and 1, bools, or probabilities")
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)} but logits have shape {tuple(logits.shape)}; pass one "
            "label for every logit (nothing is broadcast), or class indices to softmax_cross_entropy"
        )


def check_sample_weight(logits: Array, sample_weight: Array, axis: int, name: str = "sample_weight") -> None:
    """Raise if weights have neither the shape of the logits nor that of the rows; `name` is their argument."""
    shape = tuple(logits.shape)
    rows = rows_shape(shape, axis) if len(shape) > 1 else shape
    if tuple(sample_weight.shape) not in (shape, rows):
        expected = f"{shape} or {rows}" if rows != shape else f"{shape}"
        raise ValueError(
            f"{name} has shape {tuple(sample_weight.shape)}; pass shape {expected}: one weight for "
            "every element, or one for every row"
        )


def _class_vector(name: str, value: Any, logits: Array, classes: int, xp: Any, dtype: Any) -> Array:
    """Convert a number or an array to one number for each class, shape (C,), constant."""
    if isinstance(value, (int, float)):  # made where the logits are: a copy to a device would be waited for
        return xp.full((classes,), float(value), dtype=dtype, device=device(logits))
    vector = as_option(value, name, logits)
    vector = xp.astype(vector.detach() if is_torch(vector) else vector, dtype, copy=False)
    if vector.ndim == 0:
        return vector + xp.zeros(classes, dtype=vector.dtype, device=device(vector))
    if tuple(vector.shape) != (classes,):
        raise ValueError(
            f"{name} has shape {tuple(vector.shape)}; pass a number, or shape ({classes},): one per class"
            + (" (one-dimensional logits are one class)" if logits.ndim < 2 else "")
            + along_another_axis(vector, logits)
        )
    return vector
