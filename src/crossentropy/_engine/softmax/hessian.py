"""The gradient and the diagonal of the Hessian of softmax losses of NumPy logits, for Newton's method.

With masses ``a_j``, let ``m_j = a_j gain_j`` and ``n_j = dm_j / d log p_j``. Then ``∇ℓ = M p − m`` with ``M = Σ m_j``
and

    ∇²ℓ = M (diag p − p pᵀ) − Σ_j n_j (e_j − p)(e_j − p)ᵀ,

the sum of what the softmax bends and of what the link bends. The n are taken from the link's `curvature`,
``φ''(D) = gain p (1 − p) − n (1 − p)²``. The terms that are convex, those with ``M > 0`` and with ``n_j < 0``, are a
bound of the whole that is never negative.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from crossentropy._backends import Array
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.softmax.terms import check_sums, prepare, target_weights, weigh_rows
from crossentropy._kernels import _native
from crossentropy._statistics import Cotangents, Requested, Target
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy._statistics.label_errors import check_labels
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links import CrossEntropy
from crossentropy.links.cross_entropy import focal_gamma
from crossentropy.links.link import curvature as link_curvature
from crossentropy.links.link import slope as link_slope

__all__ = ["RowHessian", "RowHessians", "row_derivatives"]

CLEAR = 1e-3  # what is left beside a probability where its difference from 1 is not accurate enough
BLOCK = 1 << 15  # entries of a block, few enough for intermediate results to stay in the cache


def row_derivatives(
    logits: Array, labels: Any, *, positive: bool = False, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the gradient of every row's weighted loss and the diagonal of its Hessian, both of shape (rows, C).

    Parameters
    ----------
    logits : array (rows, C), floating
    labels : array
        As of `crossentropy.softmax_cross_entropy`.
    positive : bool
        Whether the diagonal is that of the convex terms, which bounds the exact one and is not negative.
    **options
        Of `make_problem`, without softcap and regularizers.
    """
    problem = make_problem(logits, labels, reduction="none", **options)
    n, C = problem.shape
    if problem.validate:
        check_labels(problem.target, C)
        check_sums(problem)
    gradient, hessian = (NumpyMemory.empty_like(problem.logits, problem.loss_dtype) for _ in range(2))
    T = problem.transform.temperature
    with np.errstate(all="ignore"):
        derivatives = _of_blocks(problem, positive)
        for rows in slices(n, max(1, BLOCK // C)):
            g, h = derivatives(rows)
            gradient[rows], hessian[rows] = (g, h) if T == 1 else (g / T, h / T**2)
    if problem.sample_weight is not None:
        idle = problem.sample_weight == 0  # whatever the logits
        gradient[idle] = hessian[idle] = 0.0
    return gradient, hessian


def _of_blocks(problem: SoftmaxProblem, positive: bool) -> Callable[[slice], tuple[np.ndarray, np.ndarray]]:
    """Return what computes gradient and diagonal by ``u`` of a block of rows; the kernels run once, for all rows."""
    if _has_labels_alone(problem):
        odds = _LogOdds.of(problem)
        return lambda rows: _of_labels(_block(problem, rows), odds.block(rows), positive)
    if type(problem.link) is CrossEntropy:
        p = _probabilities(problem)
        return lambda rows: _of_cross_entropy(_block(problem, rows), p[rows])
    return lambda rows: _of_masses(_block(problem, rows), positive)


class RowHessian:
    """The gradient and the whole Hessian of the losses of single rows, for labels among so many classes.

    What does not depend on the scores is computed once: of each label the masses of the classes, and the offset of the
    scores before the softmax.

    ``derivatives(scores, label, scale)`` are the gradient (C,) and the Hessian (C, C) for scores (C,), both times
    `scale`. The Hessian is computed when it is iterated: half of the calls of CatBoost do not read it. The label may be
    a float, as CatBoost keeps labels.
    """

    derivatives: Callable[[Any, float, float], tuple[list[float], Iterable[list[float]]]]

    def __init__(self, classes: int, positive: bool, options: dict[str, Any]) -> None:
        labels = np.arange(classes)
        problem = make_problem(np.zeros((classes, classes)), labels, reduction="none", **options)
        self.classes, self.positive, self.options = classes, positive, options
        self.temperature, gamma = float(problem.transform.temperature), focal_gamma(problem.link)
        if gamma is None:
            self.derivatives = self._by_formula
            return
        offsets = NumpyMemory.contiguous(prepare(problem, None).u, "float64")
        masses = NumpyMemory.contiguous(per_class.class_masses(problem, offsets)[0], "float64")
        tables = NumpyMemory.address(offsets), NumpyMemory.address(masses)
        self.derivatives = _native.LabelLosses(
            classes, self.temperature, gamma, positive, *tables
        ).derivatives

    def _by_formula(
        self, scores: Any, label: float, scale: float
    ) -> tuple[list[float], Iterable[list[float]]]:
        """Compute them for any link."""
        if label not in range(self.classes):
            raise ValueError(
                f"the label {label:g} is not an index in [0, {self.classes}), the classes of the scores"
            )
        problem = make_problem(
            np.asarray(scores, float)[None], np.asarray([int(label)]), reduction="none", **self.options
        )
        with np.errstate(all="ignore"):
            masses = _Masses(problem)
            (g,), (p,), T = masses.gradient(), masses.p, self.temperature
            M, bends = masses.convexity(self.positive)
            hessian = -M * np.outer(p, p)
            np.fill_diagonal(hessian, M * p * masses.rest)
            directions = -np.exp(masses.log_p - masses.log_rest.T)  # (e_j − p) / (1 − p_j)
            np.fill_diagonal(directions, 1.0)
            hessian += (directions.T * bends) @ directions
        return (scale * g / T).tolist(), (scale * hessian / T**2).tolist()


class RowHessians(dict[int, RowHessian]):
    """The derivatives of single rows by the number of their classes."""

    def __init__(self, positive: bool, options: dict[str, Any]) -> None:
        super().__init__()
        self.positive, self.options = positive, options

    def __missing__(self, classes: int) -> RowHessian:
        """Prepare them for so many classes."""
        return self.setdefault(classes, RowHessian(classes, self.positive, self.options))

    def __reduce__(self) -> Any:
        return RowHessians, (self.positive, self.options)


def _has_labels_alone(problem: SoftmaxProblem) -> bool:
    """Tell whether each row has the mass of one label and nothing else."""
    return problem.target.labels is not None and problem.label_smoothing == 0


def _block(problem: SoftmaxProblem, rows: slice) -> SoftmaxProblem:
    """Take some rows of a problem."""
    target, weight = problem.target, problem.sample_weight
    indices = None if target.indices is None else target.indices[rows]
    dense = None if target.dense is None else target.dense[rows]
    logits: Any = problem.logits
    logits = logits[rows]
    return replace(
        problem,
        logits=logits,
        shape=logits.shape,
        rows=logits.shape[:1],
        target=Target(indices=indices, dense=dense, class_weight=target.class_weight),
        sample_weight=None if weight is None else weight[rows],
    )


class _LogOdds(NamedTuple):
    """The log-odds ``D`` against one label a row, and their derivatives.

    ``∂D/∂u_c`` is the probability of the class among all but the label, and −1 for the label. `others` is 1 minus the
    largest of these probabilities, of which little may be left.
    """

    D: np.ndarray
    slopes: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, problem: SoftmaxProblem) -> "_LogOdds":
        """Compute them by the kernels."""
        kernel = RowKernel(NumpyMemory, problem.logits, 1, problem.target, problem.transform, None)
        stats = kernel.statistics(problem.target, problem.rows, problem.requested)
        ones = Cotangents(log_odds=np.ones(problem.rows))
        slopes = kernel.pullback(stats, ones, problem.rows, before_transform=True).logits
        return cls(stats.log_odds, slopes, stats.rest / (1 + stats.rest))

    def block(self, rows: slice) -> "_LogOdds":
        """Take some rows."""
        return _LogOdds(*(x[rows] for x in self))


def _of_labels(problem: SoftmaxProblem, odds: _LogOdds, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and diagonal by ``u`` where the loss is ``a φ(D)`` of the log-odds against one label.

    With ``r = ∂D/∂u`` the diagonal is ``φ'' r² + φ' r (1 − r)``, and ``φ''`` for the label. A bound has other factors
    in the place of ``φ'`` and ``φ''``.
    """
    D, r, shares = odds.D, odds.slopes, target_weights(problem)
    slope, own = link_slope(problem.link, D), link_curvature(problem.link, D)
    of_rest = slope
    if positive:
        of_gain = slope * np.exp(log_sigmoid(-D))
        own = np.maximum(own - of_gain, 0.0) + np.maximum(of_gain, 0.0)
        of_rest = np.maximum(slope, 0.0)
    columns = (x if shares is None else shares * x for x in (slope, own, of_rest))
    slope, own, of_rest = (weigh_rows(problem, x)[:, None] for x in columns)
    complement = 1 - r
    clear = np.flatnonzero(odds.others < CLEAR)
    complement[clear] = np.where(r[clear] > 0.5, odds.others[clear, None], complement[clear])
    complement *= of_rest
    diagonal = own * r
    diagonal += complement
    diagonal *= r
    labels: Any = problem.target.indices
    np.put_along_axis(diagonal, labels[:, None], own, axis=1)
    return slope * r, diagonal


def _probabilities(problem: SoftmaxProblem) -> np.ndarray:
    """Compute ``p``, the derivative of ``L`` by ``u``, by the kernels."""
    kernel = RowKernel(NumpyMemory, problem.logits, 1, problem.target, problem.transform, None)
    stats = kernel.statistics(problem.target, problem.rows, Requested(log_partition=True))
    return kernel.pullback(
        stats, Cotangents(log_partition=np.ones(problem.rows)), problem.rows, before_transform=True
    ).logits


def _of_cross_entropy(problem: SoftmaxProblem, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and diagonal by ``u`` of ``Σ a_j (L − u_j)``: ``A p − a`` and ``A p (1 − p)`` with ``A = Σ a_j``."""
    a, _ = per_class.class_masses(problem, p)
    a = weigh_rows(problem, a.T).T
    A = a.sum(axis=1, keepdims=True)
    rest = 1 - p
    (clear,) = np.nonzero(p.max(axis=1) > 1 - CLEAR)
    others, top = p[clear], p[clear].argmax(axis=1)
    others[np.arange(len(clear)), top] = 0.0
    rest[clear, top] = others.sum(axis=1)
    return (A - a) * p - a * rest, A * p * rest


def _of_masses(problem: SoftmaxProblem, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and diagonal by ``u`` for any masses."""
    masses = _Masses(problem)
    M, bends = masses.convexity(positive)
    # −n_j (e_j − p)²: of the class itself, and shared out over the others, where (p_c / (1 − p_j))² of the likeliest j
    # is taken by logarithms, for 1 − p_j may vanish
    others = np.where(masses.likeliest, 0.0, bends / masses.rest**2)
    likeliest = np.where(masses.likeliest, bends, 0.0).sum(axis=1, keepdims=True)
    log_rest = np.where(masses.likeliest, masses.log_rest, 0.0).sum(axis=1, keepdims=True)
    share = np.where(masses.likeliest, 0.0, np.exp(masses.log_p - log_rest))
    diagonal = (
        M * masses.p * masses.rest
        + bends
        + masses.p**2 * (others.sum(axis=1, keepdims=True) - others)
        + likeliest * share**2
    )
    return masses.gradient(), diagonal


class _Masses:
    """Every class's probability, and what the link makes of it, times its mass and the weight of the row."""

    def __init__(self, problem: SoftmaxProblem) -> None:
        D = per_class.log_odds_of_classes(problem)
        a, _ = per_class.class_masses(problem, D)
        weight = problem.sample_weight
        self.a = a if weight is None else weight[:, None] * a
        self.log_p, self.log_rest = log_sigmoid(-D), log_sigmoid(D)
        self.p, self.rest = np.exp(self.log_p), np.exp(self.log_rest)
        self.likeliest = np.arange(D.shape[1]) == D.argmin(axis=1, keepdims=True)
        self.gain, self.bend = problem.link.gain(D), link_curvature(problem.link, D)

    def gradient(self) -> np.ndarray:
        """``Σ_{j≠c} m_j p_c − m_c (1 − p_c)``, where no large terms cancel."""
        m = self.a * self.gain
        return (m.sum(axis=1, keepdims=True) - m) * self.p - m * self.rest

    def convexity(self, positive: bool) -> tuple[np.ndarray, np.ndarray]:
        """``M``, shape (rows, 1), and ``−n_j (1 − p_j)²``, shape (rows, C); of `positive`, only where these are so."""
        m = self.a * self.gain
        bends = self.a * (self.bend - self.gain * self.p * self.rest)
        if positive:
            m, bends = np.maximum(m, 0.0), np.maximum(bends, 0.0)
        return m.sum(axis=1, keepdims=True), bends
