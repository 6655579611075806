"""The logistic function's logarithm, exact in both tails and differentiable to any order."""

from typing import Any

from crossentropy._backends import Array, is_torch, namespace


def log_sigmoid(x: Array) -> Array:
    """Logarithm of the logistic function, ``ln σ(x) = −ln(1 + e^(−x))``.

    With ``x = −D``, the log-odds of a target, this is its log-probability; with ``x = D`` the logarithm of
    one minus its probability. Both keep full relative precision however confident the row is, and so do the
    first and second derivatives, ``σ(−x)`` and ``−σ(x) σ(−x)``.

    Parameters
    ----------
    x : array, any shape, floating
        Log-odds.

    Returns
    -------
    array, shape of `x`
        ``min(x, 0) − ln(1 + e^(−|x|))``, in nats, never positive.

    Examples
    --------
    >>> import numpy as np
    >>> log_sigmoid(np.asarray([0.0, 40.0]))
    array([-6.93147181e-01, -4.24835426e-18])
    """
    if is_torch(x):
        from crossentropy._statistics import log_sigmoid_torch

        return log_sigmoid_torch.log_sigmoid(x)
    return _formula(x, namespace(x))


def _formula(x: Array, xp: Any) -> Array:
    return xp.where(x < 0, x, xp.zeros_like(x)) - xp.log1p(xp.exp(-xp.abs(x)))
