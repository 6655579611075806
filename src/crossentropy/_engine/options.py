"""Keywords that losses pass on to `softmax_cross_entropy` and `sigmoid_cross_entropy`, for type checkers.

Each keyword is declared once, in a group of those that a loss may set itself instead of passing them on.
"""

from collections.abc import Iterable
from typing import TypedDict

from crossentropy._backends import Array
from crossentropy.links import Link


class _Axis(TypedDict, total=False):
    axis: int


class _Classes(TypedDict, total=False):
    class_weight: Array | None
    ignore_index: int | None


class _SampleWeight(TypedDict, total=False):
    sample_weight: Array | None


class _Checks(TypedDict, total=False):
    empty: str
    validate: str


class _Reduction(TypedDict, total=False):
    reduction: str
    normalizer: str | Array


class _Terms(TypedDict, total=False):
    link: Link | None
    softcap: float | None
    z_loss: float


class _InPlace(TypedDict, total=False):
    inplace: bool


class _Spread(TypedDict, total=False):
    smoothing_prior: Array | None
    entropy_bonus: float


class _Smoothing(_Spread, total=False):
    label_smoothing: float


class _Margin(TypedDict, total=False):
    temperature: Array | float
    margin: Array | float | None


class _Offset(TypedDict, total=False):
    logit_bias: Array | None


class _Rows(_Axis, _Classes, _SampleWeight, _Checks, total=False):
    pass


class _Always(_Rows, _Terms, _InPlace, total=False):
    pass


class RowOptions(_Rows, _Reduction, total=False):
    """Keywords of every loss of rows."""


class SoftmaxOptions(_Always, _Reduction, _Smoothing, _Margin, _Offset, total=False):
    """Keywords of `crossentropy.softmax_cross_entropy`."""


class WithoutOffset(_Always, _Reduction, _Smoothing, _Margin, total=False):
    """All but `logit_bias`."""


class WithoutMargin(_Always, _Reduction, _Smoothing, _Offset, total=False):
    """All but `margin` and `temperature`."""


class WithoutSmoothing(_Always, _Reduction, _Margin, _Offset, total=False):
    """All but `label_smoothing`, `smoothing_prior` and `entropy_bonus`."""


class WithoutReduction(_Always, _Smoothing, _Margin, _Offset, total=False):
    """All but `reduction` and `normalizer`."""


class TokenOptions(_Axis, _Classes, _Checks, _Terms, _InPlace, _Smoothing, _Margin, _Offset, total=False):
    """All but `sample_weight` and `normalizer`, in whose place tokens have a mask."""

    reduction: str


class LastAxisOptions(
    _Classes, _SampleWeight, _Checks, _Terms, _Reduction, _Smoothing, _Margin, _Offset, total=False
):
    """All but `axis` and `inplace`."""


class TorchOptions(_SampleWeight, _Terms, _Spread, _Margin, _Offset, total=False):
    """Those that PyTorch's cross-entropies lack, and `validate`."""

    validate: str


class LinearOptions(LastAxisOptions, total=False):
    """Keywords of `crossentropy.linear_cross_entropy`."""

    bias: Array | None
    low_rank: tuple[Array, Array] | None
    shift: int
    memory_budget: int | None
    skip_below: float


class ExampleOptions(_Classes, _SampleWeight, _Terms, _Smoothing, _Margin, _Offset, total=False):
    """Keywords of a softmax loss that is returned for each example, whose axis is an argument."""

    validate: str


class ExplainedOptions(_Terms, _Smoothing, _Margin, _Offset, _SampleWeight, total=False):
    """Keywords of a softmax loss that act on one row."""

    class_weight: Array | None


class ReductionOptions(_SampleWeight, _Reduction, total=False):
    """How rows are weighted and reduced."""

    empty: str


class BinaryOptions(_SampleWeight, _Checks, _Reduction, total=False):
    """Keywords of `crossentropy.sigmoid_cross_entropy` but for its links."""

    pos_weight: Array | float | None
    label_smoothing: float
    class_weight: Array | float | None
    axis: int


class SigmoidOptions(BinaryOptions, total=False):
    """Keywords of `crossentropy.sigmoid_cross_entropy`."""

    link: Link | None
    negative_link: Link | None
    negative_shift: float


def check_names(options: Iterable[str], known: type) -> None:
    """Raise TypeError if a name is not a keyword of the TypedDict `known`."""
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(
                f"the loss has no argument {name}; its options are {', '.join(known.__annotations__)}"
            )
