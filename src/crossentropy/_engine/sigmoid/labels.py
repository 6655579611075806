"""Labels of yes-or-no questions: which are valid, the error that names the first that is not, and its NaN in a loss."""

from collections.abc import Callable

from crossentropy._backends import Array, namespace
from crossentropy._backends.conditions import entry_at, first_true, is_true
from crossentropy._backends.dtypes import dtype_name
from crossentropy._rows import entry_in_words


def valid_labels(labels: Array) -> Array:
    """Mark the labels that are 0 or 1, or probabilities if they are floating; bool, in their shape."""
    if dtype_name(labels) == "bool":
        return namespace(labels).ones_like(labels)
    return (labels >= 0) & (labels <= 1)


def binary_label_error(labels: Array, place: tuple[int, ...]) -> ValueError:
    """The error for the label at `place`, which is neither 0 nor 1 nor a probability."""
    value = entry_at(labels, place)
    where = entry_in_words("labels", place) if place else "the label"
    if bool(namespace(labels).all((labels == -1) | (labels == 1))):
        return ValueError(
            f"{where} is {value}; labels are 0 and 1. If yours are -1 and 1, pass (labels + 1) // 2"
        )
    if "float" in dtype_name(labels):
        expected = "a floating label is a probability, between 0 and 1"
    else:
        expected = "an integer label is 0 or 1; for class indices use softmax_cross_entropy"
    return ValueError(
        f"{where} is {value}, but {expected}. To leave elements out, give them a sample_weight of 0, "
        "for example sample_weight=(labels >= 0)"
    )


def check_binary_labels(
    labels: Array,
    valid: Array,
    counted: Array | None,
    *,
    error: Callable[[Array, tuple[int, ...]], ValueError] = binary_label_error,
) -> None:
    """Raise for the first label that counts and is not valid, where values can be read without waiting for a device.

    `valid` and `counted` are arrays of bool in the labels' shape, or broadcast to it; without `counted` all count.
    """
    invalid = ~valid if counted is None else ~valid & counted
    if is_true(namespace(invalid).any(invalid)):
        raise error(labels, first_true(invalid))


def nan_where_invalid(z: Array, valid: Array, counted: Array | None) -> Array:
    """Replace logits of invalid labels that count by NaN, so that loss and gradient are NaN.

    A logit that does not count and is not finite, or has an invalid label, becomes 0, and so its gradient is 0.
    """
    xp = namespace(z)
    if counted is not None:
        excluded = ~counted & ~(valid & xp.isfinite(z))
        z, valid = xp.where(excluded, xp.zeros_like(z), z), valid | excluded
    one = xp.ones_like(valid, dtype=z.dtype)
    return z * xp.where(valid, one, xp.full_like(one, float("nan")))
