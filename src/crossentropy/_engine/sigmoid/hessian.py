"""The gradient and the second derivatives of sigmoid losses of NumPy logits, for Newton's method.

Every element costs ``a φ₊(D₊) + b φ₋(D₋)`` with ``D₊ = −z`` and, without a shift, ``D₋ = z``; its second derivative is
``a φ₊''(D₊) + b φ₋''(D₋)``. In ``φ'' = gain p (1 − p) − n (1 − p)²`` with ``n = d gain / d log p``, the terms that are
positive are a bound of the whole.
"""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from crossentropy._backends import Array, loss_dtype
from crossentropy._engine.sigmoid import cpu
from crossentropy._engine.sigmoid.formula import (
    element_weights,
    logits_and_masses,
    negative_log_odds,
    reference_gradient,
)
from crossentropy._engine.sigmoid.labels import check_binary_labels, valid_labels
from crossentropy._engine.sigmoid.problem import Problem, make_problem
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.links import Link
from crossentropy.links._probabilities import probability, probability_difference, variance
from crossentropy.links.link import curvature as link_curvature
from crossentropy.links.link import slope as link_slope

__all__ = ["BlockDerivatives", "element_derivatives"]

BLOCK = 1 << 15  # elements of a block, few enough for intermediate results to stay in the cache


def element_derivatives(
    logits: Array, labels: Array, *, positive: bool = False, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the first and second derivative of every element's weighted loss, in the shape of the logits.

    Parameters
    ----------
    logits, labels : array (rows,) or (rows, C)
        As of `crossentropy.sigmoid_cross_entropy`.
    positive : bool
        Whether the second derivative is a bound of it that is not negative.
    **options
        Of `make_problem`.
    """
    return _derivatives(make_problem(logits, labels, reduction="none", **options), positive)


class BlockDerivatives:
    """The derivatives of many blocks of rows, one logit each; what all of them share is checked with the first.

    The logits are float64, and labels and weights have shape (rows,).
    """

    def __init__(self, positive: bool, options: dict[str, Any]) -> None:
        self.positive, self.options = positive, options
        self.known: dict[tuple[Any, bool], Problem] = {}

    def __call__(
        self, logits: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the first and second derivative of every row's weighted loss."""
        weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        kind = labels.dtype, weight is None
        if kind not in self.known:
            self.known[kind] = make_problem(
                logits, labels, sample_weight=weight, reduction="none", **self.options
            )
        like = self.known[kind]
        problem = Problem(logits, labels, weight, like.positive_weight, like.negative_weight, like.options)
        return _derivatives(problem, self.positive)


def _derivatives(problem: Problem, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """The first and second derivative of every element of a problem."""
    if cpu.is_supported(problem) and problem.options.negative_shift == 0:
        return cpu.derivatives(problem, positive, NumpyMemory)
    if problem.options.validate:
        weights = element_weights(problem, np)
        counted = None if weights is None else weights[1] != 0
        check_binary_labels(problem.labels, valid_labels(problem.labels), counted)
    shape, dtype = problem.logits.shape, loss_dtype(problem.logits)
    ones, second = np.ones(shape, dtype=dtype), NumpyMemory.empty_like(problem.logits, dtype)
    with np.errstate(all="ignore"):
        if cpu.is_supported(problem):
            first = cpu.gradient(problem, ones, 1.0, NumpyMemory)
        else:
            first = reference_gradient(problem, ones)
        for rows in slices(len(second), max(1, BLOCK // max(1, prod(shape[1:])))):
            second[rows] = _second_derivatives(_block(problem, rows), positive)
    return first, second


def _block(problem: Problem, rows: slice) -> Problem:
    """Take some rows of a problem."""
    weight = problem.sample_weight
    return replace(
        problem,
        logits=problem.logits[rows],
        labels=problem.labels[rows],
        sample_weight=None if weight is None else weight[rows],
    )


def _second_derivatives(problem: Problem, positive: bool) -> np.ndarray:
    """Compute the second derivative of every element's loss, float64."""
    options = problem.options
    z, yes, no = logits_and_masses(problem, element_weights(problem, np), np, np.float64)
    if options.negative_shift == 0 and options.link is options.negative_link:
        is_yes = yes != 0
        if not (is_yes & (no != 0)).any():  # nobody has two terms
            return _weighed(yes + no, _bend(options.link, np.where(is_yes, -z, z), positive))
    of_yes = _weighed(yes, _bend(options.link, -z, positive))
    D, counts = negative_log_odds(z, options, np)
    bend = _bend(options.negative_link, D, positive)
    if options.negative_shift != 0:  # D is a function of z: D' = p (1 − p) / (p_m (1 − p_m))
        rise = variance(z) / variance(D)
        turn = rise * (probability_difference(z) - probability_difference(D) * rise)
        of_turn = link_slope(options.negative_link, D) * turn
        bend = bend * rise**2 + (np.maximum(of_turn, 0.0) if positive else of_turn)
    return of_yes + _weighed(np.where(counts, no, 0.0), bend)


def _bend(link: Link, D: np.ndarray, positive: bool) -> np.ndarray:
    """Compute ``φ''(D)``, or its positive terms: ``gain p (1 − p)`` and the rest."""
    bend = link_curvature(link, D)
    if not positive:
        return bend
    of_gain = link_slope(link, D) * probability(D)
    return np.maximum(of_gain, 0.0) + np.maximum(bend - of_gain, 0.0)


def _weighed(mass: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply, where a mass of 0 makes 0 of anything."""
    return np.where(mass == 0, 0.0, mass * values)
