"""Newton's method for convex functions, safeguarded: it ends, whatever the data are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Quadratic", "fit_logistic", "minimize", "minimize_from_zero", "sigmoid"]

Array = np.ndarray[Any, Any]
#: A function's value, gradient (k,) and Hessian (k, k) at a point.
Quadratic = tuple[float, Array, Array]
STEPS = 100
#: As many as there are powers of 2 among float64 numbers, so that a bracket ends by halving too.
HALVINGS = 2100
#: After a step as small as this, relatively, the error is its square.
CLOSE = 1e-9


def minimize_from_zero(derivatives: Callable[[float], tuple[float, float]], start: float = 1.0) -> float:
    """Minimize a convex function of x > 0 that falls at 0 and rises somewhere, in a bracket that shrinks.

    Parameters
    ----------
    derivatives : function
        From x to slope and curvature.
    start : float, default 1.0

    Examples
    --------
    >>> round(minimize_from_zero(lambda x: (math.exp(x) - 5, math.exp(x))), 12) == round(math.log(5), 12)
    True
    """
    low, high, x = 0.0, math.inf, start
    for _ in range(HALVINGS):
        slope, curvature = derivatives(x)
        low, high = (x, high) if slope < 0 else (low, x)
        step = x - slope / curvature if curvature > 0 else math.inf
        if abs(step - x) <= CLOSE * x:
            return step
        limit, instead = (4 * x, 4 * x) if math.isinf(high) else (high, (low + high) / 2)
        x = step if low < step < limit else instead
    return x


def minimize(function: Callable[[Array], Quadratic], start: Array, *, close: float = CLOSE) -> Array | None:
    """Minimize a convex function by Newton's steps, each halved until the function falls; None if they are undefined.

    It ends after a step as small as `close`, relatively.

    Examples
    --------
    >>> bowl = lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3), 2 * np.eye(2))
    >>> minimize(bowl, np.zeros(2)).tolist()
    [3.0, 3.0]
    """
    at = start
    value, gradient, hessian = function(at)
    for _ in range(STEPS):
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        size, reached = 1.0, function(at - step)
        while size > 1e-10 and not reached[0] <= value + 1e-15 * abs(value):
            size /= 2
            reached = function(at - size * step)
        at = at - size * step
        value, gradient, hessian = reached
        if size == 1 and np.abs(step).max() <= close * max(1.0, float(np.abs(at).max())):
            break
    return at


def fit_logistic(design: Array, weight: Array, positive: Array, start: Array) -> Array | None:
    """Fit ``logit P(y = 1) = coefficients · design`` by the likelihood.

    Parameters
    ----------
    design : float64 array (k, m)
    weight, positive : float64 array (m,)
        The weight at each column of the design, and the part of it that has label 1.
    start : float64 array (k,)

    Returns
    -------
    float64 array (k,)
        None if labels do not determine it.
    """

    def loss(at: Array) -> Quadratic:
        u = at @ design
        p = sigmoid(u)
        value = float((weight * np.logaddexp(0, u) - positive * u).sum())
        gradient = (design * (weight * p - positive)).sum(axis=1)
        spread = design * (weight * p * (1 - p))
        return value, gradient, np.asarray([(spread * x).sum(axis=1) for x in design])

    return minimize(loss, start)


def sigmoid(u: Array) -> Array:
    """Return ``1 / (1 + exp(−u))``."""
    e = np.exp(-np.abs(u))
    return np.where(u >= 0, 1.0, e) / (1 + e)
