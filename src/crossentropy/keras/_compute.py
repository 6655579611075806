"""The losses of Keras's names, per row, from tensors of the backend: each is a composition of losses below."""

from typing import Any

import keras

from crossentropy._arguments.errors import argument_errors, renamed_in_errors
from crossentropy._backends import Array, loss_dtype, namespace
from crossentropy._engine.probabilities.of_links import class_losses, divergences, log_odds
from crossentropy._rows import class_axis
from crossentropy.keras._options import LogitOptions
from crossentropy.keras._tensors import checked_probabilities
from crossentropy.losses import sigmoid_cross_entropy, sigmoid_focal_loss, softmax_cross_entropy

__all__ = ["binary", "categorical", "kullback_leibler"]

# The least probability whose logarithm float32 holds, for a loss that Keras does not clip.
TINY = 2.0**-100


@renamed_in_errors(logits="y_pred", labels="y_true", ignore_index="ignore_class")
@argument_errors
def categorical(
    y_pred: Array,
    labels: Any,
    *,
    from_logits: bool,
    axis: int,
    clipped: bool = True,
    ignore_class: int | None = None,
    **options: Any,
) -> Array:
    """Loss of every row, of classes along `axis`."""
    if from_logits:
        return softmax_cross_entropy(
            y_pred, labels, axis=axis, ignore_index=ignore_class, reduction="none", **options
        )
    for name in LogitOptions.__annotations__:
        if name in options:
            raise ValueError(
                f"{name} is for scores before the softmax; pass these as y_pred, and from_logits=True"
            )
    floor = keras.config.epsilon() if clipped else TINY
    p = checked_probabilities(y_pred, class_axis(axis, y_pred.shape, "y_pred"))
    return class_losses(p, labels, axis=axis, floor=floor, ignore_index=ignore_class, **options)


@renamed_in_errors(logits="y_pred", labels="y_true")
@argument_errors
def binary(
    y_pred: Array,
    labels: Array,
    *,
    from_logits: bool,
    axis: int,
    gamma: float | None = None,
    alpha: float | None = None,
    **options: Any,
) -> Array:
    """Mean loss of yes-or-no questions along `axis`; with `gamma` the focal one, where `alpha` weighs a yes."""
    z = y_pred if from_logits else log_odds(checked_probabilities(y_pred), keras.config.epsilon())
    if gamma is None:
        losses = sigmoid_cross_entropy(z, labels, reduction="none", **options)
    else:
        losses = sigmoid_focal_loss(z, labels, alpha=alpha, gamma=gamma, reduction="none", **options)
    xp = namespace(losses)
    return xp.astype(xp.mean(losses, axis=axis), loss_dtype(y_pred))


@argument_errors
def kullback_leibler(y_pred: Array, y_true: Array) -> Array:
    """Divergence of every row, of classes along the last axis."""
    return divergences(y_true, checked_probabilities(y_pred), axis=-1, floor=keras.config.epsilon())
