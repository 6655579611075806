"""What links are written with: probabilities of log-odds, and exponentials that keep their digits and derivatives."""

import math
from typing import Any

from crossentropy._backends import Array, expm1, namespace
from crossentropy._statistics.log_sigmoid import log_sigmoid

LARGE = 60.0  # from here on softplus(D) is D: e^(−D) is no part of its last digit


def miss(D: Array) -> Array:
    """``1 − p = σ(D)``."""
    return namespace(D).exp(log_sigmoid(D))


def hit(D: Array) -> Array:
    """``p = σ(−D)``."""
    return namespace(D).exp(log_sigmoid(-D))


def one_minus_exp(x: Array) -> Array:
    """``1 − e^x`` for ``x ≤ 0``.

    Both the value and the derivative keep their digits: the derivative of `expm1` is computed as its value plus one,
    which is nothing where ``e^x`` is small.
    """
    xp = namespace(x)
    near = x > -0.5
    zero = xp.zeros_like(x)
    return xp.where(near, zero - expm1(xp.where(near, x, zero)), 1 - xp.exp(xp.where(near, zero, x)))


def log(x: Any) -> Any:
    """``ln x`` of a number or of an array, which may be learnt."""
    return namespace(x).log(x) if hasattr(x, "shape") else math.log(x)


def filled(x: Array, value: Any) -> Array:
    """An array like `x` of one number, which may be an array that is learnt."""
    xp = namespace(x)
    return xp.zeros_like(x) + value if hasattr(value, "shape") else xp.full_like(x, value)


def exp(x: Array) -> Array:
    """``e^x``, but no more than a large number that may still be multiplied: 0 times infinity would be NaN."""
    xp = namespace(x)
    largest = largest_exponent(x) - ROOM
    return xp.exp(xp.where(x > largest, xp.full_like(x, largest), x))


ROOM = 16.0  # in an exponent, for factors of some millions


def largest_exponent(x: Array) -> float:
    """Up to here ``e^x`` is a finite number of the dtype of `x`."""
    return math.log(float(namespace(x).finfo(x.dtype).max)) - 0.01
