"""Tokens, masks and whatever else has a number for each step of a sequence."""

from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._backends import Array, as_indices, index_dtype, namespace
from crossentropy._engine.reductions import sequence_divisors
from crossentropy._engine.weights import like
from crossentropy._rows import rows_shape
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse


def as_tokens(logits: Array, labels: Any, axis: int) -> tuple[Array, Array]:
    """Logits and tokens as arrays of one library, a token for each step."""
    if isinstance(labels, (LabelSet, OneHot, Probabilities, Sparse)):
        raise TypeError(
            f"labels are a {type(labels).__name__}; sequences take tokens, an integer array. For soft targets slice "
            "logits and targets yourself and pass them to softmax_cross_entropy"
        )
    xp, (logits, labels) = as_arrays(logits=logits, labels=labels)
    if not xp.isdtype(labels.dtype, ("integral", "bool")):
        raise TypeError(
            f"labels have dtype {labels.dtype}; pass tokens as integers, for example labels.long()"
        )
    if labels.ndim == 0:
        raise ValueError("labels are a single number; they need an axis of steps")
    if -logits.ndim <= axis < logits.ndim:
        steps = rows_shape(logits.shape, axis % logits.ndim)
        if tuple(labels.shape) != steps:
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}, but logits of shape {tuple(logits.shape)} with class axis "
                f"{axis} need one token for each step, shape {steps}"
            )
    return logits, labels


def of_tokens(values: Any, logits: Array, labels: Array, name: str) -> Array:
    """`values` as one number for each token."""
    x = like(values, logits, name)
    if tuple(x.shape) != tuple(labels.shape):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)} but labels have shape {tuple(labels.shape)}; pass one for each token, "
            "the first ones included"
        )
    return x


def negative_mask_error(least: float) -> ValueError:
    """The error of a mean over tokens that would be divided by a mask of both signs."""
    return ValueError(
        f"mask goes down to {least:g}, and a mean over tokens divides by its sum; pass a mask of at least 0, or in "
        "normalizer the number of tokens"
    )


def shifted(x: Array, steps: int, fill: Any) -> Array:
    """`x` moved to the front of its last axis, and `fill` behind it."""
    xp = namespace(x)
    return xp.concat([x[..., steps:], xp.full_like(x[..., :steps], fill)], axis=-1)


def shifted_labels(labels: Array, steps: int, ignore_index: int | None) -> tuple[Array, int]:
    """Labels beside the logits that are to predict them, and the label that is none of them and stands behind."""
    labels = as_indices(labels)
    none = ignore_index
    if none is None:  # no token is: the least integer that there is
        none = int(namespace(labels).iinfo(index_dtype(labels)).min)
    return shifted(labels, steps, none), none


def divisor_of(
    word: str,
    logits: Array,
    labels: Array,
    weights: Array | None,
    *,
    reduction: str = "mean",
    class_weight: Array | None = None,
    ignore_index: int | None = None,
    **_: Any,
) -> Any:
    """The normalizer of `softmax_cross_entropy` that a word stands for."""
    if word == "token":
        return "weight"
    if word != "sequence":
        raise ValueError(f'normalizer is {word!r}; write "token", "sequence", a number or an array')
    if reduction != "mean":
        raise ValueError(
            f'normalizer is "sequence" but reduction is {reduction!r}, which divides by nothing; '
            'write reduction="mean", or leave the normalizer out'
        )
    if class_weight is not None:
        raise ValueError(
            'class_weight is given with normalizer="sequence", and there is no saying whether it counts in the number '
            "of a sequence's tokens; pass the divisor of each token as an array"
        )
    xp = namespace(labels)
    masses = like(xp.ones_like(labels), logits, "labels") if weights is None else weights
    if ignore_index is not None:
        masses = xp.where(as_indices(labels) == ignore_index, xp.zeros_like(masses), masses)
    return sequence_divisors(masses)
