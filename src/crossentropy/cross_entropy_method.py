"""The cross-entropy method: minimizing a function by fitting a distribution to its best samples.

From a distribution over candidates draw many, keep the elite, those of the smallest values, and move the distribution
to the one that predicts the elite best. "Best" is the smallest cross-entropy: the new parameters are

    argmin_v  −1/|E| Σ_{x ∈ E} ln f(x; v),

the fit of a weighted cross-entropy whose weights are 1 on the elite and 0 elsewhere. For categorical distributions its
solution is the elite's frequencies, for normal ones their means and standard deviations. Neither needs a gradient, of
the function or of anything.

Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization", Methodology and Computing in
Applied Probability 1, 1999. De Boer, Kroese, Mannor, Rubinstein, "A Tutorial on the Cross-Entropy Method", Annals of
Operations Research 134, 2005.
"""

from __future__ import annotations  # NumPy's ArrayLike is a screen long where it is spelled out

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Iteration", "Result", "minimize", "minimize_discrete"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """The results of one iteration.

    Attributes
    ----------
    best : float
        The smallest value among the samples.
    threshold : float
        The largest value among the elite, the paper's ``γ``.
    parameters : tuple of arrays
        The distribution after the iteration: ``(mean, std)``, or ``(probabilities,)``.
    """

    best: float
    threshold: float
    parameters: tuple[Floats, ...]


@dataclass(frozen=True)
class Result:
    """The results of a search.

    Attributes
    ----------
    x : array (d,)
        The best candidate of all that were drawn.
    value : float
        The function there.
    parameters : tuple of arrays
        The distribution at the end: ``(mean, std)``, or ``(probabilities,)``. The mean of a noisy function's search is
        often better than its luckiest sample.
    converged : bool
        Whether the distribution has become narrow, rather than the iterations used up.
    evaluations : int
        How many candidates the function was asked for.
    history : list of Iteration
    """

    x: NDArray[Any]
    value: float
    parameters: tuple[Floats, ...]
    converged: bool
    evaluations: int
    history: list[Iteration] = field(repr=False)

    @property
    def mean(self) -> Floats:
        """Mean of the normal distribution, shape (d,)."""
        return self._of_two("mean", 0)

    @property
    def std(self) -> Floats:
        """Standard deviation of the normal distribution, shape (d,)."""
        return self._of_two("std", 1)

    @property
    def probabilities(self) -> Floats:
        """Probabilities of the categorical distributions, shape (d, C)."""
        if len(self.parameters) == 2:
            raise AttributeError("a normal distribution has no probabilities, but a mean and a std")
        return self.parameters[0]

    def _of_two(self, name: str, place: int) -> Floats:
        if len(self.parameters) == 1:
            raise AttributeError(f"categorical distributions have no {name}, but probabilities")
        return self.parameters[place]


def minimize(
    function: Callable[[Floats], ArrayLike],
    mean: ArrayLike,
    std: ArrayLike,
    *,
    samples: int = 100,
    elite: float = 0.1,
    smoothing: float = 0.7,
    noise: float | Callable[[int], float] = 0.0,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    tolerance: float = 1e-6,
    iterations: int = 200,
    seed: int | np.random.Generator | None = None,
) -> Result:
    """Minimize a function of d numbers, by normal distributions of independent coordinates.

    Parameters
    ----------
    function : callable
        From candidates (samples, d) to their values (samples,). NaN is worse than anything.
    mean : array (d,)
        Where to begin.
    std : float or array (d,)
        How far around it to look: as far as the minimum may be.
    samples : int, default 100
        Candidates of an iteration.
    elite : float, default 0.1
        Share of them that the distribution is fitted to; at least 2 of them.
    smoothing : float, default 0.7
        ``α`` in (0, 1], the step from the old mean and standard deviation to the elite's.
    noise : float or function of the iteration, default 0.0
        A number of at least 0 that is added to the standard deviation after each step, against settling too early: for
        functions that are noisy or have a narrow valley. To converge, let it die away: ``lambda i: 0.3 * 0.97**i``.
    bounds : (low, high), numbers or arrays (d,), optional
        Candidates beyond are moved to the bound.
    tolerance : float, default 1e-6
        Stop when every standard deviation is at most this.
    iterations : int, default 200
        Stop after as many.
    seed : int or numpy.random.Generator, optional
        The same seed, the same search.

    Returns
    -------
    Result
        With ``mean`` and ``std``.

    Raises
    ------
    ValueError
        If an option is out of range, or the function returns other than one value for each candidate, or only NaN.

    References
    ----------
    De Boer, Kroese, Mannor, Rubinstein, "A Tutorial on the Cross-Entropy Method", Annals of Operations Research 134,
    2005. Szita, Lőrincz, "Learning Tetris Using the Noisy Cross-Entropy Method", Neural Computation 18, 2006.

    Examples
    --------
    >>> found = minimize(lambda x: ((x - [1.0, -2.0]) ** 2).sum(axis=1), mean=[0.0, 0.0], std=3.0, seed=0)
    >>> found.mean.round(4), found.converged
    (array([ 1., -2.]), True)
    """
    start = np.array(mean, dtype=np.float64)
    if start.ndim != 1 or start.size == 0:
        raise ValueError(f"mean has shape {start.shape}; pass one number for each coordinate, shape (d,)")
    if not np.isfinite(start).all():
        raise ValueError(f"mean is {mean!r}; pass finite numbers")
    width = np.array(std, dtype=np.float64)
    if width.shape not in ((), start.shape) or not (np.isfinite(width) & (width > 0)).all():
        raise ValueError(f"std is {std!r}; pass positive numbers: one, or {start.size}, as the mean has")
    width = np.broadcast_to(width, start.shape).copy()
    low, high = _limits(bounds, start.size)
    rng = np.random.default_rng(seed)

    def draw(parameters: tuple[Floats, ...], n: int) -> Floats:
        center, spread = parameters
        return np.clip(center + spread * rng.standard_normal((n, center.size)), low, high)

    def fit(best: Floats, parameters: tuple[Floats, ...], iteration: int) -> tuple[Floats, ...]:
        fitted = best.mean(axis=0), best.std(axis=0)
        center, spread = (a + smoothing * (b - a) for a, b in zip(parameters, fitted, strict=True))
        added = noise(iteration) if callable(noise) else noise
        if not np.all((np.asarray(added) >= 0) & np.isfinite(added)):
            raise ValueError(
                f"noise is {added} in iteration {iteration}; it is added to the standard deviation, so it is a finite "
                "number of at least 0"
            )
        return center, spread + added

    return _search(
        function,
        draw,
        fit,
        lambda parameters: float(parameters[1].max()),
        (start, width),
        samples,
        elite,
        smoothing,
        tolerance,
        iterations,
    )


def _limits(bounds: tuple[ArrayLike, ArrayLike] | None, d: int) -> tuple[Floats, Floats]:
    """Check bounds of `d` coordinates; each is a number or an array (d,)."""
    try:
        low, high = (
            np.asarray(b, dtype=np.float64) for b in ((-math.inf, math.inf) if bounds is None else bounds)
        )
        fit = {low.shape, high.shape} <= {(), (d,)} and bool(np.all(low <= high))
    except (TypeError, ValueError):
        fit = False
    if not fit:
        raise ValueError(
            f"bounds are {bounds!r}; pass (low, high), each a number or {d} of them, the low ones not above the high; "
            "an infinite one is no bound"
        )
    return low, high


def minimize_discrete(
    function: Callable[[NDArray[np.int64]], ArrayLike],
    probabilities: ArrayLike,
    *,
    samples: int = 100,
    elite: float = 0.1,
    smoothing: float = 0.7,
    tolerance: float = 1e-3,
    iterations: int = 200,
    seed: int | np.random.Generator | None = None,
) -> Result:
    """Minimize a function of d choices among C, by independent categorical distributions.

    Parameters
    ----------
    function : callable
        From candidates (samples, d), integers from 0 to C − 1, to their values (samples,). NaN is worse than anything.
    probabilities : array (d, C)
        Where to begin: uniform, if nothing is known. What is 0 stays 0. For yes-or-no choices ``C = 2``.
    samples, elite, smoothing, iterations, seed
        As in `minimize`; with a `smoothing` of less than 1 no choice is ever given up for good.
    tolerance : float, default 1e-3
        Stop when every choice has an answer of probability at least one minus this.

    Returns
    -------
    Result
        With ``probabilities``; `x` is of integers.

    Raises
    ------
    ValueError
        As `minimize`, and if rows of probabilities do not sum to one.

    References
    ----------
    De Boer, Kroese, Mannor, Rubinstein, "A Tutorial on the Cross-Entropy Method", Annals of Operations Research 134,
    2005.

    Examples
    --------
    Cut a ring of four into two halves, so that every neighbor is on the other side.

    >>> ring = np.asarray([[0, 1], [1, 2], [2, 3], [3, 0]])
    >>> uncut = lambda x: (x[:, ring[:, 0]] == x[:, ring[:, 1]]).sum(axis=1)
    >>> found = minimize_discrete(uncut, np.full((4, 2), 0.5), seed=0)
    >>> found.value, bool(found.x[0] != found.x[1])
    (0.0, True)
    """
    start = np.array(probabilities, dtype=np.float64)
    if start.ndim != 2 or start.size == 0:
        raise ValueError(
            f"probabilities have shape {start.shape}; pass (d, C), a distribution for each choice"
        )
    if not ((start >= 0).all() and np.allclose(start.sum(axis=1), 1, rtol=0, atol=1e-6)):
        raise ValueError(
            "probabilities are negative, or a row does not sum to one; divide each row by its sum"
        )
    start /= start.sum(axis=1, keepdims=True)
    classes = np.arange(start.shape[1])
    rng = np.random.default_rng(seed)

    def draw(parameters: tuple[Floats, ...], n: int) -> NDArray[np.int64]:
        below = np.cumsum(parameters[0], axis=1)
        below /= below[:, -1:]
        return np.sum(rng.random((n, len(below), 1)) >= below, axis=2)

    def fit(best: NDArray[Any], parameters: tuple[Floats, ...], iteration: int) -> tuple[Floats, ...]:
        frequencies = (best[:, :, None] == classes).mean(axis=0)
        return (parameters[0] + smoothing * (frequencies - parameters[0]),)

    return _search(
        function,
        draw,
        fit,
        lambda parameters: float(1 - parameters[0].max(axis=1).min()),
        (start,),
        samples,
        elite,
        smoothing,
        tolerance,
        iterations,
    )


def _search(
    function: Callable[[Any], ArrayLike],
    draw: Callable[[tuple[Floats, ...], int], NDArray[Any]],
    fit: Callable[[NDArray[Any], tuple[Floats, ...], int], tuple[Floats, ...]],
    width: Callable[[tuple[Floats, ...]], float],
    parameters: tuple[Floats, ...],
    samples: int,
    elite: float,
    smoothing: float,
    tolerance: float,
    iterations: int,
) -> Result:
    """Draw samples, evaluate them, keep the elite and fit to it, until the distribution is narrow."""
    for name, number, least in (("samples", samples, 2), ("iterations", iterations, 1)):
        if not isinstance(number, Integral) or number < least:
            raise ValueError(f"{name} is {number!r}; pass a whole number of at least {least}")
    if not 0 < elite <= 1:
        raise ValueError(f"elite is {elite}; it is a share of the samples, in (0, 1]")
    if not 0 < smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing}; it is the step to the elite's parameters, in (0, 1]")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; pass a number of at least 0")
    kept = max(2, math.ceil(elite * samples - 1e-9))
    best_x, best_value = np.empty(0), math.inf
    history: list[Iteration] = []
    converged = False
    for i in range(iterations):
        x = draw(parameters, samples)
        values = np.asarray(function(x.copy()), dtype=np.float64)  # a copy, which it may write into
        if values.shape != (samples,):
            raise ValueError(
                f"the function returned shape {values.shape} for candidates of shape {x.shape}; "
                f"return one value for each, shape ({samples},)"
            )
        order = np.argsort(values, kind="stable")[:kept]  # argsort puts NaN last
        if math.isnan(values[order[0]]):
            raise ValueError(f"the function returned NaN for all {samples} candidates of iteration {i}")
        if not history or values[order[0]] < best_value:
            best_x, best_value = x[order[0]].copy(), float(values[order[0]])
        chosen = order[~np.isnan(values[order])]
        parameters = fit(x[chosen], parameters, i)
        history.append(Iteration(float(values[order[0]]), float(values[chosen[-1]]), parameters))
        converged = width(parameters) <= tolerance
        if converged:
            break
    return Result(best_x, best_value, parameters, converged, samples * len(history), history)
