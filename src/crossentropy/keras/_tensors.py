"""What Keras passes to a loss, as arrays of its backend: predictions, labels, and the check of what was declared."""

from typing import Any

from keras import ops
from keras.src import backend

from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import Array, constant, namespace
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._backends.messages import say_when
from crossentropy._backends.modes import is_tracer
from crossentropy._rows import entry_in_words

__all__ = [
    "aligned",
    "as_indices",
    "as_labels",
    "as_masses",
    "as_predictions",
    "check_same_shape",
    "checked_probabilities",
    "squeezed",
    "without_ignored",
]

# A probability may be beyond its bounds by this much, from rounding.
SLACK = 1e-3


def as_predictions(y_pred: Any, *, from_logits: bool = False) -> Array:
    """Return predictions as a floating tensor of the backend, of their own dtype if it is floating.

    Keras's softmax and sigmoid leave their input with what they return; then it is no tensor of logits.
    """
    if from_logits and getattr(y_pred, "_keras_logits", None) is not None:
        warn_user(
            "y_pred comes from a softmax or sigmoid, but from_logits=True; leave the activation out of the last layer, "
            "or pass from_logits=False"
        )
    x = ops.convert_to_tensor(y_pred)
    return x if _is_floating(x) else ops.cast(x, "float32")


def as_labels(y_true: Any) -> Array:
    """Return labels as a tensor of the backend, of their own dtype."""
    return ops.convert_to_tensor(y_true)


def as_indices(y_true: Any) -> Array:
    """Return labels as class indices; integers and bools keep their dtype, so that no index is rounded."""
    y = as_labels(y_true)
    return ops.cast(y, "int32") if _is_floating(y) else y


def as_masses(y_true: Any, like: Array) -> Array:
    """Return labels as a mass for every class; integers take the dtype of `like`."""
    y = as_labels(y_true)
    return y if _is_floating(y) else ops.cast(y, like.dtype)


def aligned(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Give labels and predictions as many axes, where one has a last axis of size 1 that the other lacks."""
    more = len(y_true.shape) - len(y_pred.shape)
    if more == 1 and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, -1), y_pred
    if more == -1 and y_pred.shape[-1] == 1:
        if len(y_true.shape) == 1:
            return ops.expand_dims(y_true, -1), y_pred
        return y_true, ops.squeeze(y_pred, -1)
    return y_true, y_pred


def squeezed(y_true: Array, y_pred: Array, axis: int) -> Array:
    """Return class indices without an axis of size 1 in place of the classes."""
    has_axis = len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1
    return ops.squeeze(y_true, axis) if has_axis else y_true


def check_same_shape(y_true: Array, y_pred: Array) -> None:
    """Raise ValueError unless there is a label for every prediction, in the same shape."""
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    known = [a == b or None in (a, b) for a, b in zip(ours, theirs, strict=False)]
    if len(ours) != len(theirs) or not all(known):
        raise ValueError(
            f"y_true has shape {ours} and y_pred {theirs}; they must have the same shape. Class indices go to "
            "SparseCategoricalCrossentropy"
        )


def without_ignored(losses: Array, labels: Array, ignored: int | None) -> Array:
    """Tell Keras which rows have a label that is not ignored, so that a mean is over those alone."""
    if ignored is not None:
        backend.set_keras_mask(losses, ops.not_equal(labels, ignored))
    return losses


def checked_probabilities(p: Array, axis: int | None = None) -> Array:
    """Refuse predictions that cannot be probabilities; in a traced program make their row NaN, and say why.

    With `axis`, they are distributions along it up to a factor, and a row of zeros is none.
    """
    xp = namespace(p)
    bad = (p < -SLACK) | (p > 1 + SLACK)  # NaN is neither, and stays
    flag = xp.any(bad)
    if axis is not None:
        empty = xp.all(p == 0, axis=axis, keepdims=True)
        bad = bad | empty
        flag = xp.any(bad)
    what = (
        "no probability, but from_logits=False. For scores before a softmax or sigmoid pass from_logits=True"
    )
    if is_true(flag):
        place = first_true(bad)
        raise ValueError(f"{entry_in_words('y_pred', place)} is {float(constant(p)[place]):.6g}, {what}")
    if is_tracer(flag):
        say_when(flag, f"y_pred is {what}")
    one = xp.ones_like(p)
    return p * xp.where(bad, xp.full_like(one, float("nan")), one)


def _is_floating(x: Array) -> bool:
    return "float" in str(x.dtype)
