"""optax's divergences and its label smoothing, with the limits at 0 right in value and gradient."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy.jax._rows import Axes, check_broadcast, check_floating, class_axes

__all__ = [
    "generalized_kl_divergence",
    "kl_divergence",
    "kl_divergence_with_log_targets",
    "smooth_labels",
]


@argument_errors
def kl_divergence(
    log_predictions: Array, targets: Array, axis: Axes = -1, where: Array | None = None
) -> jax.Array:
    """Kullback-Leibler divergence of each example, ``Σ t (ln t − ln q)``, as `optax.losses.kl_divergence` has it.

    Parameters
    ----------
    log_predictions : floating array (..., C, ...)
        ``ln q``.
    targets : floating array, shape of `log_predictions`
        ``t``. Where it is 0 the term is 0, whatever ``ln q`` is, and so is its gradient.
    axis : int, tuple of int or None, default -1
    where : array of bool, optional
        Which terms to include, in a shape that broadcasts to the targets'.

    Returns
    -------
    array, the shape without `axis`
        In nats.

    Raises
    ------
    ValueError
        If the shapes differ.
    TypeError
        If an argument is not floating.

    References
    ----------
    Kullback, Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(kl_divergence(jnp.log(jnp.array([0.5, 0.5, 0.0])), jnp.array([0.25, 0.75, 0.0])).round(4))
    0.1308
    """
    log_q, t = check_floating(log_predictions=log_predictions, targets=targets)
    _check_shapes(log_q, t, "targets")
    present = t != 0
    log_t = jnp.log(jnp.where(present, t, 1))
    return _total(t * (log_t - jnp.where(present, log_q, 0)), present, axis, where)


@argument_errors
def kl_divergence_with_log_targets(
    log_predictions: Array, log_targets: Array, axis: Axes = -1, where: Array | None = None
) -> jax.Array:
    """`kl_divergence` of targets given by their logarithms, as `optax.losses.kl_divergence_with_log_targets` has it.

    Parameters
    ----------
    log_predictions : floating array (..., C, ...)
    log_targets : floating array, shape of `log_predictions`
        ``ln t``, −∞ where ``t`` is 0.
    axis, where
        As in `kl_divergence`.

    Returns
    -------
    array, the shape without `axis`
        In nats.

    Raises
    ------
    ValueError, TypeError
        As `kl_divergence` does.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> log_p = jnp.log(jnp.array([0.5, 0.5, 0.0]))
    >>> kl_divergence_with_log_targets(log_p, log_p).item()
    0.0
    """
    log_q, log_t = check_floating(log_predictions=log_predictions, log_targets=log_targets)
    _check_shapes(log_q, log_t, "log_targets")
    present = log_t != -jnp.inf
    log_t = jnp.where(present, log_t, 0)
    return _total(jnp.exp(log_t) * (log_t - jnp.where(present, log_q, 0)), present, axis, where)


@argument_errors
def generalized_kl_divergence(
    log_predictions: Array, targets: Array, axis: Axes = -1, where: Array | None = None
) -> jax.Array:
    """`kl_divergence` plus ``Σ (q − t)``, for masses of any sum, as `optax.losses.generalized_kl_divergence` has it.

    Parameters
    ----------
    log_predictions : floating array (..., C, ...)
    targets : floating array, shape of `log_predictions`
    axis, where
        As in `kl_divergence`.

    Returns
    -------
    array, the shape without `axis`
        In nats.

    Raises
    ------
    ValueError, TypeError
        As `kl_divergence` does.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(generalized_kl_divergence(jnp.zeros(2), jnp.array([2.0, 1.0])).round(4))  # 2 ln 2 − 1
    0.3863
    """
    log_q, t = check_floating(log_predictions=log_predictions, targets=targets)
    divergence = kl_divergence(log_q, t, axis, where)
    return divergence + _total(jnp.exp(log_q) - t, True, axis, where)


@argument_errors
def smooth_labels(labels: Array, alpha: Array, *, axis: Axes = -1, where: Array | None = None) -> jax.Array:
    """Move a share `alpha` of each row of labels to all its classes evenly, as `optax.losses.smooth_labels` does.

    Parameters
    ----------
    labels : floating array (..., C, ...)
    alpha : float
    axis : int, tuple of int or None, default -1
        The axis of the classes.
    where : array of bool, optional
        Which classes there are; the others get nothing. (optax gives them their share as well.)

    Returns
    -------
    array, shape of `labels`

    Raises
    ------
    ValueError
        If `axis` or `where` does not fit.
    TypeError
        If `labels` are not floating.

    References
    ----------
    Müller, Kornblith, Hinton, "When Does Label Smoothing Help?", NeurIPS 2019.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> smooth_labels(jnp.array([0.0, 1.0]), 0.5).tolist()
    [0.25, 0.75]
    """
    (labels,) = check_floating(labels=labels)
    check_broadcast("labels", labels.shape, alpha=alpha)
    axes = class_axes(axis, labels.ndim)
    if where is None:
        return (1 - alpha) * labels + alpha / math.prod(labels.shape[a] for a in axes)
    mask = _mask(where, labels)
    classes = jnp.maximum(jnp.sum(mask, axis=axes, keepdims=True), 1)
    return (1 - alpha) * labels + jnp.where(mask, alpha / classes, 0)


def _check_shapes(log_q: jax.Array, targets: jax.Array, name: str) -> None:
    """Raise ValueError unless the shapes are equal."""
    if log_q.shape != targets.shape:
        raise ValueError(
            f"{name} have shape {targets.shape} and log_predictions {log_q.shape}; nothing is broadcast, pass "
            "jnp.broadcast_to(x, shape) if it should be"
        )


def _total(terms: jax.Array, present: Array, axis: Axes, where: Array | None) -> jax.Array:
    """The sum of the terms that are present and included."""
    kept = present if where is None else _mask(where, terms) & present
    return jnp.sum(jnp.where(kept, terms, 0), axis=class_axes(axis, terms.ndim))


def _mask(where: Any, like: jax.Array) -> jax.Array:
    """Broadcast a mask to the shape of an array, or raise ValueError."""
    mask = jnp.asarray(where) != 0
    try:
        return jnp.broadcast_to(mask, like.shape)
    except ValueError:
        raise ValueError(
            f"where has shape {mask.shape}, which does not broadcast to {like.shape}, that of what it is to include"
        ) from None
