"""Probabilities from log-odds, and exponentials whose values and derivatives keep their digits, for use in links."""

import math
from typing import Any

from crossentropy._backends import Array, expm1, namespace
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.log_sigmoid import log_sigmoid

LARGE = 60.0  # log-odds from which on softplus(D) rounds to D


def one_minus_probability(D: Array) -> Array:
    """Compute ``1 − p = σ(D)``."""
    return namespace(D).exp(log_sigmoid(D))


def probability(D: Array) -> Array:
    """Compute ``p = σ(−D)``."""
    return namespace(D).exp(log_sigmoid(-D))


def variance(D: Array) -> Array:
    """Compute ``p (1 − p)``."""
    e = namespace(D).exp(-namespace(D).abs(D))  # p/(1 − p) or its inverse
    return e / (1 + e) ** 2


def probability_difference(D: Array) -> Array:
    """Compute ``p − (1 − p)``, with all digits where the two are nearly equal."""
    return -namespace(D).tanh(D / 2)


def one_minus_exp(x: Array) -> Array:
    """Compute ``1 − e^x`` for ``x ≤ 0``, with all digits of value and derivative.

    Frameworks compute the derivative of `expm1` as its value plus one, which cancels where ``e^x`` is small.
    """
    xp = namespace(x)
    near = x > -0.5
    zero = xp.zeros_like(x)
    return xp.where(near, zero - expm1(xp.where(near, x, zero)), 1 - xp.exp(xp.where(near, zero, x)))


def log(x: Any) -> Any:
    """Compute ``ln x`` of a number, or of an array, differentiably and in its widest dtype."""
    return namespace(x).log(widened(x)) if hasattr(x, "shape") else math.log(x)


def filled(x: Array, value: Any) -> Array:
    """Fill an array of the shape of `x` with one value, a number or a 0-d array that may learn."""
    xp = namespace(x)
    return xp.zeros_like(x) + value if hasattr(value, "shape") else xp.full_like(x, value)


def exp(x: Array) -> Array:
    """Compute ``e^x``, clipped so that factors up to some millions do not overflow: 0 times ∞ would be NaN."""
    xp = namespace(x)
    largest = largest_exponent(x) - ROOM
    return xp.exp(xp.where(x > largest, xp.full_like(x, largest), x))


ROOM = 16.0  # subtracted from the largest exponent, for factors of up to e^16, some millions


def largest_exponent(x: Array) -> float:
    """Return the largest ``x`` for which ``e^x`` is finite in the dtype of `x`."""
    return math.log(float(namespace(x).finfo(x.dtype).max)) - 0.01
