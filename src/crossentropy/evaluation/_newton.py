"""Newton's method for convex functions, safeguarded: it ends, whatever the data are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory

__all__ = [
    "CLOSE",
    "Cholesky",
    "Quadratic",
    "fit_logistic",
    "minimize",
    "minimize_from_zero",
    "minimize_near",
    "sigmoid",
]

Array = np.ndarray[Any, Any]
#: A function's value, gradient (k,) and Hessian (k, k) at a point.
Quadratic = tuple[float, Array, Array]
STEPS = 100
#: As many as there are powers of 2 among float64 numbers, so that a bracket ends by halving too.
HALVINGS = 2100
#: After a step as small as this, relatively, the error is its square.
CLOSE = 1e-9
#: A step is halved until it is as small as this part of the whole one.
LEAST = 1e-10


class Cholesky:
    """A factor L of a symmetric positive definite matrix A = L Lᵀ, computed on the caller's thread.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is not positive definite.

    Examples
    --------
    >>> Cholesky(np.asarray([[4.0, 2.0], [2.0, 3.0]])).solve(np.asarray([8.0, 8.0])).round(12).tolist()
    [1.0, 2.0]
    """

    def __init__(self, matrix: Array) -> None:
        self._factor = np.array(matrix, np.float64, order="C")
        if not _native.cholesky_factor(NumpyMemory.address(self._factor), len(matrix)):
            raise np.linalg.LinAlgError("the matrix is not positive definite")

    def solve(self, b: Array) -> Array:
        """Solve A x = b."""
        x = np.array(b, np.float64)
        address = NumpyMemory.address
        _native.cholesky_solve(address(self._factor), len(x), address(x))
        return x


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


def minimize(
    function: Callable[[Array], Quadratic],
    start: Array,
    *,
    solve: Callable[[Array, Array], Array] = np.linalg.solve,
    close: float = CLOSE,
) -> Array | None:
    """Minimize a convex function by Newton's steps, each halved until the function falls; None if they are undefined.

    Parameters
    ----------
    function : function
        From x (k,) to the value, the gradient and the Hessian.
    start : float64 array (k,)
    solve : function
        From the Hessian and the gradient to the step; it raises `numpy.linalg.LinAlgError` if there is none.
    close : float
        It ends after a step as small as this, relatively.

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
            step = solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        size, reached = 1.0, function(at - step)
        while size > LEAST and not _falls(reached[0], value):
            size /= 2
            reached = function(at - size * step)
        at = at - size * step
        value, gradient, hessian = reached
        if size == 1 and _relative(step, at) <= close:
            break
    return at


def minimize_near(
    function: Callable[[Array], tuple[float, Array]], start: Array, hessian: Array, close: float
) -> Array:
    """Minimize a convex function near its minimum, where its Hessian is nearly `hessian`.

    Steps are those of BFGS from that Hessian, each halved until the function falls.

    Parameters
    ----------
    function : function
        From x (k,) to the value and the gradient (k,).
    start : float64 array (k,)
    hessian : float64 array (k, k)
        Positive definite.
    close : float
        It ends with a step after which the next would be as small as this, relatively, by the slowest shrinking so far;
        there it calls the function no more.

    Examples
    --------
    >>> bowl = lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3))
    >>> minimize_near(bowl, np.zeros(2), 1.9 * np.eye(2), 1e-9).round(9).tolist()
    [3.0, 3.0]
    """
    factor, moves = Cholesky(hessian), list[tuple[Array, Array]]()
    at = start
    value, gradient = function(at)
    before, shrinking = math.inf, 0.0
    for _ in range(STEPS):
        step = _quasi_newton_step(factor, moves, gradient)
        length = _relative(step, at)
        shrinking = max(shrinking, min(1.0, length / before))
        if length * (shrinking if moves else 1.0) <= close:
            return at - step
        before = length
        size, reached = 1.0, function(at - step)
        while size > LEAST and not _falls(reached[0], value):
            size /= 2
            reached = function(at - size * step)
        move, change = -size * step, reached[1] - gradient
        if move @ change > 0:  # by the rounding of sums it may not be
            moves.append((move, change))
        at = at + move
        value, gradient = reached
    return at


def _quasi_newton_step(factor: Cholesky, moves: list[tuple[Array, Array]], gradient: Array) -> Array:
    """Multiply the gradient by the inverse Hessian of BFGS after moves, and by how much they changed the gradient."""
    q, parts = gradient, []
    for s, y in reversed(moves):
        parts.append(float(s @ q) / float(s @ y))
        q = q - parts[-1] * y
    step = factor.solve(q)
    for (s, y), part in zip(moves, reversed(parts), strict=True):
        step = step + (part - float(y @ step) / float(s @ y)) * s
    return step


def _falls(reached: float, value: float) -> bool:
    return reached <= value + 1e-15 * abs(value)


def _relative(step: Array, at: Array) -> float:
    return float(np.abs(step).max()) / max(1.0, float(np.abs(at).max()))


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
