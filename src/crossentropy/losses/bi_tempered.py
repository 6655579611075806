"""The bi-tempered logistic loss: a Bregman divergence of a softmax with another tail."""

import math
from dataclasses import dataclass, replace
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, constant, expm1, namespace
from crossentropy._backends.conditions import check_static, is_true, is_zero
from crossentropy._engine.checks import as_share
from crossentropy._engine.rows.formula import fill_rows
from crossentropy._engine.rows.reduce import reduced
from crossentropy._engine.softmax import per_class
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import FormulaNumbers, RowFormula, SoftmaxProblem, make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy._statistics.log_sum import LogSum
from crossentropy._statistics.rounding import difference, times

__all__ = ["bi_tempered_loss"]


@argument_errors
def bi_tempered_loss(
    logits: Array,
    labels: Any,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    label_smoothing: float = 0.0,
    iterations: int = 10,
    axis: int = -1,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Bi-tempered logistic loss: bounded for outliers by `t1`, tolerant of noise near the boundary by `t2`.

    .. math:: \ell = \sum_c q_c (\log_{t_1} q_c - \log_{t_1} p_c) - \frac{q_c^{2-t_1} - p_c^{2-t_1}}{2 - t_1},
              \qquad p_c = \exp_{t_2}(z_c - \lambda), \quad \sum_c p_c = 1,

    with :math:`\log_t x = (x^{1-t} - 1)/(1 - t)` and :math:`\exp_t` its inverse.

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, or one of `crossentropy.targets` but `LabelSet`
        As in `crossentropy.softmax_cross_entropy`; probabilities are ``q``.
    t1 : float, default 0.8
        Temperature of the loss, under 2; under 1 the loss is bounded.
    t2 : float, default 1.2
        Temperature of the probabilities, at least 0: above 1 their tail is heavy, under 1 unlikely classes have none.
        Both at 1 are cross-entropy.
    label_smoothing : float, default 0.0
        ``ε``: a label keeps ``1 − ε`` and the others share the rest, ``ε/(C − 1)`` each, as in the authors' code. In
        `softmax_cross_entropy` the label has a share too: ``ε/C``; ``ε (C − 1)/C`` here is the same.
    iterations : int, default 10
        Newton steps for ``λ``, at most, to which two more are added that gradients pass through. They double its
        digits each; 10 give all of them for any logits, but with 1e5 nearly equal ones and `t2` near 0. The authors'
        5 steps of a fixed point leave sums that are off by up to 1e-3.
    axis, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`. The mean is over rows.

    Returns
    -------
    array () or the rows' shape
        A divergence from ``q`` to ``p``, at least 0, and 0 only where they are equal. It is dimensionless; at
        temperatures of 1 it is the cross-entropy less the entropy of ``q``, in nats. Float64 for float64 logits, else
        float32. Gradients flow to `logits` and `sample_weight`.

    Raises
    ------
    ValueError
        If an option is out of range, the targets are sets, or as `crossentropy.softmax_cross_entropy` does.
    TypeError
        As there.

    Notes
    -----
    The probabilities of such a model are ``p``, not its softmax; the likeliest class is the same.

    The derivative of ``λ`` is that of the equation that it solves. On the CPU, arrays of NumPy, PyTorch and JAX take
    the kernels for ``t1 ≤ 1 < t2``. All else, second derivatives too, is computed by array formulas from the logits, in
    the memory of some twenty arrays of their size.

    References
    ----------
    Amid, Warmuth, Anil, Koren, "Robust Bi-Tempered Logistic Loss Based on Bregman Divergences", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> logits, labels = np.asarray([[2.0, 1.0, -1.0], [0.0, -30.0, 0.0]]), np.asarray([0, 1])
    >>> bi_tempered_loss(logits, labels, reduction="none").round(4)
    array([0.2933, 4.1927])
    >>> bi_tempered_loss(logits, labels, t1=1.0, t2=1.0, reduction="none").round(4)  # cross-entropy
    array([ 0.349 , 30.6931])
    """
    check_static(t1=t1, t2=t2, iterations=iterations)
    for name, value, least, end in (("t1", t1, -INF, 2.0), ("t2", t2, 0.0, INF)):
        if not least <= value < end or math.isinf(value):
            what = "finite and under 2" if name == "t1" else "finite and at least 0"
            raise ValueError(f"{name} is {value}; it has to be {what}")
    label_smoothing = as_share(label_smoothing, "label_smoothing")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise ValueError(
            f"iterations is {iterations!r}; it counts Newton steps: pass an integer of at least 0"
        )
    problem = make_problem(
        logits,
        labels,
        axis=axis,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )
    if problem.target.mask is not None:
        raise ValueError(
            "labels are a LabelSet; the loss compares probabilities of classes: pass targets of classes"
        )
    composition = Composition(t1, t2, label_smoothing, iterations)
    if not (t1 <= 1 < t2 and problem.masses is None and _smooths_evenly(problem, label_smoothing)):
        return composition(problem)
    C = problem.classes
    spread = label_smoothing * C / (C - 1) if C > 1 else 0.0
    numbers = RowFormula(
        "bi-tempered", composition, FormulaNumbers(float(t1), float(t2), min(iterations, 1000))
    )
    return solve(replace(problem, label_smoothing=spread, formula=numbers))


def _smooths_evenly(problem: SoftmaxProblem, label_smoothing: Any) -> bool:
    """Whether the smoothed target is ``(1 − ε C/(C − 1)) t + ε/(C − 1)`` with all its digits, as kernels form it."""
    if not isinstance(label_smoothing, (int, float)):
        return False
    return label_smoothing == 0 or (problem.target.indices is not None and label_smoothing <= 0.5)


@dataclass(frozen=True)
class Composition:
    """The loss by formulas; two of the same numbers are equal, so that JAX compiles the loss once for them."""

    t1: float
    t2: float
    label_smoothing: Any
    iterations: int

    def __call__(self, problem: SoftmaxProblem) -> Array:
        """The loss of a problem, whose own label smoothing is not looked at."""
        problem = replace(problem, label_smoothing=0.0, formula=None)
        formula.check_sums(problem)
        rows = formula.prepare(problem, formula.zero_weight_rows(problem))
        q, masses = per_class.class_masses(problem, rows.u)
        if not is_zero(self.label_smoothing) and problem.classes > 1:
            others = (masses[..., None] - q) / (problem.classes - 1)
            q = (1 - self.label_smoothing) * q + self.label_smoothing * others
        log_p = _log_tempered_softmax(rows.u, self.t2, self.iterations)
        return reduced(
            fill_rows(namespace(log_p).sum(_divergence(constant(q), log_p, self.t1), axis=-1), rows),
            problem.logits,
            sample_weight=problem.sample_weight,
            reduction=problem.reduction,
            normalizer=problem.normalizer,
            empty=problem.empty,
            keep=formula.not_ignored_rows(problem),
        )


# --------------------------------------------------------------------------------- tempered probabilities

SETTLED = 1e-6  # the relative change of λ from which on two steps give all digits


def _log_tempered_softmax(u: Array, t: float, iterations: int) -> Array:
    """``log p`` with ``p = exp_t(u − λ)`` and ``Σ p = 1``, along the last axis.

    With the largest ``u`` taken off, ``λ = s ≥ 0`` is the root of ``log_t Σ exp_t(u − s)``, a convex falling function
    that is linear where all that count are equal, so Newton's method rises to it from 0.
    """
    xp = namespace(u)
    zero = xp.zeros_like(u)
    is_top = LogSum(xp, u).is_top
    top = xp.sum(xp.where(is_top, u, zero), axis=-1, keepdims=True)
    depth = xp.where(is_top, zero, u - top)
    s, fixed = xp.zeros_like(top), constant(depth)
    for _ in range(iterations):
        before, s = s, _newton(s, fixed, is_top, t)
        # Each step squares what is missing, and two more follow. A NaN, which never settles, is not waited for.
        if is_true(xp.all((abs(s - before) <= SETTLED * s) | (s != s))):
            break
    s = constant(s)
    # A step from the root has the root's derivative, and two have its second derivative as well.
    for _ in range(2):
        s = _newton(s, depth, is_top, t)
    return _log_exp_t(depth, s, t)


def _newton(s: Array, depth: Array, is_top: Array, t: float) -> Array:
    """The next ``s``; the sum is formed less one, so that it keeps its digits where one class has it all."""
    xp = namespace(depth)
    zero = xp.zeros_like(depth)
    log_p = _log_exp_t(depth, s, t)
    p = xp.exp(log_p)
    rest = xp.sum(xp.where(is_top, zero, p), axis=-1, keepdims=True)
    log_sum = xp.log1p(expm1(_log_exp_t(xp.zeros_like(s), s, t)) + rest)
    # Σ p^t, where p^(t − 1) = 1/(1 + (1 − t) (depth − s)).
    reached = xp.where(log_p == -INF, zero, depth - s)
    slope = xp.sum(p / (1 + (1 - t) * reached), axis=-1, keepdims=True)
    return s - _minus_log_t(log_sum, t) * xp.exp(t * log_sum) / slope


def _log_exp_t(depth: Array, s: Array, t: float) -> Array:
    """``log exp_t(x) = log(1 + (1 − t) x)/(1 − t)`` for ``x = depth − s ≤ 0``; −∞ where there is no such number.

    Near its end, where ``1 + (1 − t) x`` is 0, what was lost in the rounding of ``x`` and of the product is added.
    """
    x = depth - s
    if t == 1:
        return x
    xp = namespace(x)
    y = (1 - t) * x
    rounded, lost_before = difference(constant(xp.where(depth == -INF, xp.zeros_like(y), depth)), constant(s))
    one_more = (1 + y) + (times(rounded, 1 - t)[1] + (1 - t) * lost_before)
    ending = y < -0.5
    gone = ending & (one_more <= 0)
    end = xp.log(xp.where(ending & ~gone, one_more, xp.ones_like(y)))
    log = xp.where(ending, end, xp.log1p(xp.where(ending, xp.zeros_like(y), y))) / (1 - t)
    return xp.where(gone, xp.full_like(log, -INF), log)


# ---------------------------------------------------------------------------------------------- divergence

TERMS = 16  # of the series in x that are enough for |x| < 1/4


def _divergence(q: Array, log_p: Array, t: float) -> Array:
    """``q (log_t q − log_t p) − (q^(2−t) − p^(2−t))/(2 − t)``, at least 0, entry by entry.

    With ``p = q e^(−x)`` it is ``q^(2−t) (h(1 − t) − h(2 − t))``, where ``h(a) = (1 − e^(−a x))/a``. Near ``x = 0``,
    where the two cancel, it is the difference of their series.
    """
    xp = namespace(log_p)
    zero, a = xp.zeros_like(log_p), 1 - t
    labeled = ~(q <= 0)
    log_q = xp.log(xp.where(labeled, q, xp.ones_like(q)))
    gone = log_p == -INF
    x = xp.where(gone, zero + INF, log_q - xp.where(gone, zero, log_p))
    near = labeled & (xp.abs(x) < 0.25)
    close = xp.where(near, x, zero)
    series = zero
    for k in range(TERMS, 1, -1):
        series = close * series + (-1) ** k * ((a + 1) ** (k - 1) - a ** (k - 1)) / math.factorial(k)
    series = xp.exp((2 - t) * log_q) * close * close * series
    log_own = xp.where(labeled, log_p, zero)
    own = xp.where(labeled, q, zero) * (_minus_log_t(log_own, t) - _minus_log_t(log_q, t))
    rest = (xp.exp((2 - t) * log_p) - xp.where(labeled, xp.exp((2 - t) * log_q), zero)) / (2 - t)
    return xp.where(near, series, own + rest)


def _minus_log_t(log_x: Array, t: float) -> Array:
    """``−log_t x``, of a logarithm."""
    if t == 1:
        return -log_x
    return -expm1((1 - t) * log_x) / (1 - t)
