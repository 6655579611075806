"""The options that losses pass on to `softmax_cross_entropy` and `sigmoid_cross_entropy`, for type checkers."""

from typing import TypedDict

from crossentropy._backends import Array
from crossentropy.links import Link

__all__ = ["SigmoidOptions", "SoftmaxOptions"]


class SoftmaxOptions(TypedDict, total=False):
    """Keywords of `crossentropy.softmax_cross_entropy`."""

    axis: int
    label_smoothing: float
    smoothing_prior: Array | None
    class_weight: Array | None
    sample_weight: Array | None
    ignore_index: int | None
    link: Link | None
    temperature: Array | float
    softcap: float | None
    logit_bias: Array | None
    margin: Array | float | None
    z_loss: float
    entropy_bonus: float
    reduction: str
    normalizer: str | Array
    empty: str
    validate: str
    inplace: bool


class SigmoidOptions(TypedDict, total=False):
    """Keywords of `crossentropy.sigmoid_cross_entropy`."""

    pos_weight: Array | float | None
    label_smoothing: float
    class_weight: Array | float | None
    sample_weight: Array | None
    link: Link | None
    negative_link: Link | None
    negative_shift: float
    axis: int
    reduction: str
    normalizer: str | Array
    empty: str
    validate: str


class TokenOptions(TypedDict, total=False):
    """Keywords of `crossentropy.softmax_cross_entropy` but for the weight and the normalizer."""

    axis: int
    label_smoothing: float
    smoothing_prior: Array | None
    class_weight: Array | None
    ignore_index: int | None
    link: Link | None
    temperature: Array | float
    softcap: float | None
    logit_bias: Array | None
    margin: Array | float | None
    z_loss: float
    entropy_bonus: float
    reduction: str
    empty: str
    validate: str
    inplace: bool


class ReductionOptions(TypedDict, total=False):
    """How rows are weighted and reduced."""

    sample_weight: Array | None
    reduction: str
    normalizer: str | Array
    empty: str


class BinaryOptions(TypedDict, total=False):
    """Keywords of `crossentropy.sigmoid_cross_entropy`, but for its links."""

    pos_weight: Array | float | None
    label_smoothing: float
    class_weight: Array | float | None
    sample_weight: Array | None
    axis: int
    reduction: str
    normalizer: str | Array
    empty: str
    validate: str
