"""Subsets of the options of `softmax_cross_entropy`, for losses that set the other options themselves."""

from typing import TypedDict

from crossentropy._backends import Array
from crossentropy.links import Link

__all__ = [
    "LinearOptions",
    "RowOptions",
    "WithoutMargin",
    "WithoutOffset",
    "WithoutReduction",
    "WithoutSmoothing",
]


class _Reduction(TypedDict, total=False):
    reduction: str
    normalizer: str | Array


class _Rows(TypedDict, total=False):
    axis: int
    class_weight: Array | None
    sample_weight: Array | None
    ignore_index: int | None
    empty: str
    validate: str


class _Always(_Rows, total=False):
    link: Link | None
    softcap: float | None
    z_loss: float
    inplace: bool


class _Smoothing(TypedDict, total=False):
    label_smoothing: float
    smoothing_prior: Array | None
    entropy_bonus: float


class _Margin(TypedDict, total=False):
    temperature: Array | float
    margin: Array | float | None


class _Offset(TypedDict, total=False):
    logit_bias: Array | None


class RowOptions(_Rows, _Reduction, total=False):
    """Keywords that every loss of rows can have."""


class LinearOptions(_Reduction, _Smoothing, _Margin, _Offset, total=False):
    """Keywords of `crossentropy.linear_cross_entropy`."""

    bias: Array | None
    low_rank: tuple[Array, Array] | None
    shift: int
    memory_budget: int | None
    skip_below: float
    class_weight: Array | None
    sample_weight: Array | None
    ignore_index: int | None
    link: Link | None
    softcap: float | None
    z_loss: float
    empty: str
    validate: str


class WithoutOffset(_Always, _Reduction, _Smoothing, _Margin, total=False):
    """All keywords except `logit_bias`."""


class WithoutMargin(_Always, _Reduction, _Smoothing, _Offset, total=False):
    """All keywords except `margin` and `temperature`."""


class WithoutSmoothing(_Always, _Reduction, _Margin, _Offset, total=False):
    """All keywords except `label_smoothing`, `smoothing_prior` and `entropy_bonus`."""


class WithoutReduction(_Always, _Smoothing, _Margin, _Offset, total=False):
    """All keywords except `reduction` and `normalizer`."""
