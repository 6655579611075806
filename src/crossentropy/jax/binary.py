"""optax's losses of yes-or-no questions, argument for argument, with ours behind them."""

from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy._engine.sigmoid.solve import sigmoid_loss
from crossentropy.jax._rows import check_broadcast, check_floating
from crossentropy.links import Focal

__all__ = ["sigmoid_binary_cross_entropy", "sigmoid_focal_loss"]


@argument_errors
def sigmoid_binary_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    class_weight: Any = None,
    sample_weight: Any = None,
    validate: str = "raise",
) -> jax.Array:
    r"""Cross-entropy of each yes-or-no question, as `optax.losses.sigmoid_binary_cross_entropy` has it.

    .. math:: \ell = -t \log \sigma(z) - (1 - t) \log \sigma(-z)

    Parameters
    ----------
    logits : array, floating
    labels : array, shape of `logits`
        Integers 0 and 1, bools, or probabilities. Nothing is broadcast.
    pos_weight, label_smoothing, class_weight, sample_weight, validate
        As in `crossentropy.sigmoid_cross_entropy`, with the questions on the last axis.

    Returns
    -------
    array, shape of `logits`
        The loss of each element in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.sigmoid_cross_entropy` does.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(sigmoid_binary_cross_entropy(jnp.array([0.0, 2.0]), jnp.array([1, 0])).round(4))
    [0.6931 2.1269]
    """
    (logits,) = check_floating(logits=logits)
    return sigmoid_loss(
        logits,
        jnp.asarray(labels),
        pos_weight=pos_weight,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        validate=validate,
        reduction="none",
    )


@argument_errors
def sigmoid_focal_loss(
    logits: Array, labels: Array, *, alpha: Array | None = None, gamma: Array = 2.0
) -> jax.Array:
    r"""Focal loss of each yes-or-no question, as `optax.losses.sigmoid_focal_loss` has it.

    .. math:: \ell = \bigl(\alpha t + (1 - \alpha)(1 - t)\bigr) (1 - p_t)^{\gamma}
              \bigl(-t \log p - (1 - t) \log(1 - p)\bigr), \qquad p_t = t p + (1 - t)(1 - p)

    Parameters
    ----------
    logits : array, floating
    labels : array, shape of `logits`
        Integers 0 and 1, bools, or probabilities. Nothing is broadcast.
    alpha : float or array, optional
        Weight of a "yes"; that of a "no" is ``1 − α``. None weighs both with 1.
    gamma : float or array, default 2.0
        How much less likely answers count. Arrays are broadcast to `logits`.

    Returns
    -------
    array, shape of `logits`
        The loss of each element in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.sigmoid_cross_entropy` does.

    Notes
    -----
    `crossentropy.losses.sigmoid_focal_loss` focuses each answer to a question by its own probability. The two differ
    where a label is neither 0 nor 1.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(sigmoid_focal_loss(jnp.zeros(2), jnp.array([1, 0]), alpha=0.25).round(4))
    [0.0433 0.13  ]
    """
    (logits,) = check_floating(logits=logits)
    check_broadcast("logits", logits.shape, alpha=alpha, gamma=gamma)
    labels = jnp.asarray(labels)
    soft = jnp.issubdtype(labels.dtype, jnp.floating)
    t = jnp.astype(labels, jnp.promote_types(logits.dtype, jnp.float32))
    weight = None if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    if not soft and not getattr(gamma, "ndim", 0):
        return sigmoid_loss(logits, labels, link=Focal(gamma), sample_weight=weight, reduction="none")
    losses = sigmoid_loss(logits, labels, sample_weight=weight, reduction="none")
    z = jnp.astype(logits, losses.dtype)
    missed = t * jax.nn.sigmoid(-z) + (1 - t) * jax.nn.sigmoid(z)
    return (
        losses * jnp.maximum(missed, jnp.finfo(z.dtype).tiny) ** gamma
    )  # a power of 0 may have no derivative
