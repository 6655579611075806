"""Normalized cross-entropy, and the active-passive loss that is made with it."""

from dataclasses import replace
from functools import partial
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, namespace
from crossentropy._backends.conditions import is_false, is_zero
from crossentropy._engine.rows.reduce import reduce_problem
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import FormulaNumbers, RowFormula, SoftmaxProblem, make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy._statistics import Prior, RowStatistics, row_statistics
from crossentropy._statistics.formulas import class_last, widened
from crossentropy.links import MeanAbsoluteError

__all__ = ["active_passive_loss", "normalized_cross_entropy"]


@argument_errors
def normalized_cross_entropy(
    logits: Array,
    labels: Any,
    *,
    axis: int = -1,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Cross-entropy of the label as a share of the cross-entropies of all labels, which makes it robust to noise.

    .. math:: \ell = \frac{-\log p_y}{-\sum_c \log p_c}

    It lies between 0 and 1. Of soft targets ``q`` the numerator is ``−Σ q_c log p_c``.

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, or one of `crossentropy.targets` but `LabelSet`
        As in `crossentropy.softmax_cross_entropy`.
    axis, temperature, softcap, logit_bias, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As there. The mean is over rows.

    Returns
    -------
    array () or the rows' shape
        A share, dimensionless: float64 for float64 logits, else float32. With a single class it is 0; where another
        class is impossible it is 0 too, and where the label is, 1. Of soft targets it then is the mass on impossible
        classes.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if the targets are sets.

    See Also
    --------
    active_passive_loss : with the passive loss that the paper adds, since by itself this underfits.

    References
    ----------
    Ma, Huang, Wang, Romano, Erfani, Bailey, "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(normalized_cross_entropy(np.zeros((1, 4)), np.asarray([0])).round(6))  # every label costs the same
    0.25
    """
    problem = make_problem(
        logits,
        labels,
        axis=axis,
        temperature=temperature,
        softcap=softcap,
        logit_bias=logit_bias,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )
    if problem.target.mask is not None:
        raise ValueError(
            "labels are a LabelSet, and the sum over all labels is not one over sets; pass indices or probabilities"
        )
    return _solved(problem, 1.0, 0.0)


@argument_errors
def active_passive_loss(
    logits: Array,
    labels: Any,
    *,
    active_weight: float = 1.0,
    passive_weight: float = 1.0,
    axis: int = -1,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Active-passive loss: the normalized cross-entropy, and the mean absolute error, which pulls the others down.

    .. math:: \ell = \alpha \frac{\log p_y}{\sum_c \log p_c} + \beta \cdot 2 (1 - p_y)

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, or `crossentropy.targets.OneHot` or `Sparse`
    active_weight, passive_weight : float, default 1.0
        ``α`` and ``β``, the weights of the two. The paper has 1 and 1 for CIFAR-10, 10 and 0.1 for CIFAR-100, with the
        reduced error below.
    axis, temperature, softcap, logit_bias, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        Dimensionless: float64 for float64 logits, else float32. Gradients flow to `logits`, `sample_weight`,
        `temperature` and `logit_bias`.

    Raises
    ------
    ValueError
        As `crossentropy.softmax_cross_entropy` does, if a weight is negative or not finite, or if the targets are sets
        or probabilities.

    Notes
    -----
    Of the paper's pairs this is NCE+MAE, with ``MAE = Σ_c |p_c − [c = y]|`` by its definition; its code drops the 2 of
    ``2 (1 − p_y)``, so there ``β`` is twice what it is here. The reverse cross-entropy with ``log 0 = A`` is ``|A|/2``
    times the mean absolute error: NCE+RCE with a weight ``b`` is this with ``passive_weight=b*abs(A)/2``, and the
    code's ``A`` is ``log 1e-4 = −9.21``.

    References
    ----------
    Ma, Huang, Wang, Romano, Erfani, Bailey, "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(active_passive_loss(np.zeros((1, 4)), np.asarray([0])).round(6))  # 1/4 + 2 · 3/4
    1.75
    """
    for name, weight in (("active_weight", active_weight), ("passive_weight", passive_weight)):
        if is_false((weight >= 0) & (weight < INF)):
            raise ValueError(f"{name} is {weight}; it weighs a loss, so it is finite and at least 0")
    problem = make_problem(
        logits,
        labels,
        axis=axis,
        temperature=temperature,
        softcap=softcap,
        logit_bias=logit_bias,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )
    if problem.target.indices is None:
        raise ValueError(
            "labels are sets or probabilities; the mean absolute error here is of one label: pass indices"
        )
    return _solved(problem, active_weight, passive_weight)


def _solved(problem: SoftmaxProblem, active_weight: Any, passive_weight: Any) -> Array:
    """The loss of a problem: of one label a row by the kernel, where that serves."""
    composition = partial(_composition, active_weight=active_weight, passive_weight=passive_weight)
    target, weights = problem.target, (active_weight, passive_weight)
    if target.indices is None or target.several or not all(isinstance(w, (int, float)) for w in weights):
        return composition(problem)
    numbers = FormulaNumbers(float(passive_weight), float(active_weight))
    return solve(replace(problem, formula=RowFormula("normalized", composition, numbers)))


def _composition(problem: SoftmaxProblem, active_weight: Any, passive_weight: Any) -> Array:
    stats, impossible = _statistics(problem)
    losses = active_weight * _shares(problem, stats, impossible)
    if not is_zero(passive_weight):
        passive = formula.row_losses(
            replace(problem, link=MeanAbsoluteError()), replace(stats, prior_term=None), formula.target_losses
        )
        losses = losses + passive_weight * passive
    return reduce_problem(problem, losses, problem.sample_weight)


def _statistics(problem: SoftmaxProblem) -> tuple[RowStatistics, Array]:
    """The target's log-odds and the mean of all labels' cross-entropies, and the mass on impossible classes."""
    idle, dense = formula.zero_weight_rows(problem), problem.target.dense
    if dense is not None:  # whose masses have no derivative where another class is impossible
        u = formula.prepare(problem, idle).u
        xp, masses = namespace(u), class_last(widened(dense), problem.axis)
        impossible = xp.sum(xp.where(u == -INF, masses, xp.zeros_like(masses)), axis=-1)
        endless = xp.any(u == -INF, axis=-1)
        idle = endless if idle is None else idle | endless
    stats = row_statistics(
        problem.logits,
        problem.axis,
        problem.target,
        problem.transform,
        Prior(),
        validate=problem.validate,
        idle=idle,
    )
    if dense is None:
        masses = formula.target_weights(problem)
        xp, never = problem.xp, stats.log_odds == INF
        impossible = xp.astype(never, stats.log_odds.dtype)
        if masses is not None:
            impossible = xp.sum(xp.where(never, masses, xp.zeros_like(masses)), axis=-1)
    return stats, impossible


def _shares(problem: SoftmaxProblem, stats: RowStatistics, impossible: Array) -> Array:
    """``−log p_y / −Σ_c log p_c`` of every row; `impossible` is the mass that targets put on impossible classes."""
    formula.check_sums(problem, stats.dense_total)
    xp, D = problem.xp, stats.log_odds
    D = None if D is None else xp.where(D == INF, xp.zeros_like(D), D)
    own = formula.row_losses(problem, replace(stats, log_odds=D, prior_term=None), formula.target_losses)
    every = problem.classes * stats.prior_term
    # Of a single class, and of an ignored row, both are 0; a class of no probability makes the sum infinite.
    void, idle = (every == 0) | (every == INF), formula.zero_weight_rows(problem)
    if idle is not None:
        void = void | (idle & ~xp.isfinite(own + every))
    share = xp.where(void, xp.zeros_like(own), own) / xp.where(void, xp.ones_like(every), every)
    return xp.where(void, impossible, share)
