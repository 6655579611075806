"""What cross-entropy is compared with: the squared error of probabilities, and hinges."""

from dataclasses import replace
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, namespace
from crossentropy._engine.options import RowOptions
from crossentropy._engine.rows.formula import fill_rows, prepare_rows, row_problem, weight_and_reduce
from crossentropy._engine.softmax.problem import RowFormula, SoftmaxProblem
from crossentropy._engine.softmax.solve import solve
from crossentropy._engine.softmax.terms import dense_masses
from crossentropy._statistics import formulas
from crossentropy._statistics.log_sum import LogSum
from crossentropy._versions import Unpack

__all__ = ["brier_loss"]


@argument_errors
def brier_loss(logits: Array, labels: Any, **options: Unpack[RowOptions]) -> Array:
    r"""Brier's score of the softmax of logits: the squared error of its probabilities.

    .. math:: \ell = \sum_c (p_c - t_c)^2

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Scores of the C classes along `axis`, before the softmax.
    labels : array, or one of `crossentropy.targets`
        As in `crossentropy.softmax_cross_entropy`, but no `LabelSet`.
    axis, class_weight, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`. The class weight multiplies the whole row: it is ``w_y``, and of
        soft labels ``Σ_c w_c t_c``.

    Returns
    -------
    array () or the rows' shape
        The loss, dimensionless, from 0 to 2 for a label: float64 for float64 logits, else float32. Gradients flow to
        `logits`, soft labels and `sample_weight`.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, soft targets do not sum to one, or weights that are
        negative are to be divided by.
    TypeError
        If logits are not floating, the labels are a `LabelSet`, or there is an option that this loss does not have.

    Warns
    -----
    UserWarning
        If the logits are probabilities already.

    Notes
    -----
    This is Brier's own sum over all classes. Others divide it by C (``MSELoss`` of probabilities) or halve it; for two
    classes half of it is ``(p_1 − y)²``, which scikit-learn's ``brier_score_loss`` gives for binary labels. Multiply
    the loss by what is wanted.

    The error at the label is formed as the sum of the other probabilities, not as ``1 − p``, so the loss of a confident
    row has all its digits. Its gradient vanishes for rows that are confidently wrong, where cross-entropy's does not.

    References
    ----------
    Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 1950.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.7, 0.2, 0.1]]) + 3
    >>> float(brier_loss(logits, np.asarray([0])).round(6))  # 0.3² + 0.2² + 0.1²
    0.14
    """
    problem = row_problem(logits, labels, options)
    if problem.target.mask is not None:
        raise TypeError(
            "brier_loss is given a LabelSet, which says nothing of how likely each of its classes is; "
            "pass targets.Probabilities"
        )
    return solve(replace(problem, formula=BRIER, warns=problem.validate))


def _composition(problem: SoftmaxProblem) -> Array:
    """The loss by formulas."""
    masses = None
    if problem.target.dense is not None and (problem.class_weight is not None or not problem.normalized):
        masses = dense_masses(problem)
    rows = prepare_rows(problem, masses)
    xp = namespace(rows.u)
    if rows.on is not None and problem.masses is None:
        return weight_and_reduce(problem, fill_rows(_error_of_label(rows.u, rows.on), rows))
    if problem.masses is not None:
        mass = formulas.widened(problem.masses)[..., None]
        t = xp.sum(xp.where(rows.on, mass, xp.zeros_like(mass)), axis=-2)
    else:
        t = formulas.class_last(formulas.widened(problem.target.dense), problem.axis)
    return weight_and_reduce(problem, fill_rows(_error(rows.u, t), rows), masses)


# The steps are chosen for their derivatives, whose terms nearly cancel where the loss is written with probabilities:
# exponentials are those of differences from the largest logit, whose derivative is minus the sum of the others'.


def _error_of_label(u: Array, on: Array) -> Array:
    """``q² (1 + Σ r²)``, where ``q = 1 − p_y`` and ``r`` are the shares of the other classes in it."""
    xp = namespace(u)
    against = LogSum(xp, xp.where(on, xp.full_like(u, -INF), u))
    top, e, rest = _from_top(u, against.is_top, ~on)
    odds = top - xp.sum(xp.where(on, u, xp.zeros_like(u)), axis=-1, keepdims=True)
    odds = xp.where(against.empty[..., None], xp.full_like(odds, -INF), odds)
    wrong = odds + xp.log1p(rest) > 0
    # The odds against the label, or for it where these are smaller.
    less = xp.exp(xp.where(wrong, -odds, odds)) * xp.where(wrong, 1 / (1 + rest), 1 + rest)
    q = xp.where(wrong, xp.ones_like(less), less) / (1 + less)
    shares = e / (1 + rest)
    return (q * q)[..., 0] * (1 + xp.sum(shares * shares, axis=-1))


def _error(u: Array, t: Array) -> Array:
    """``Σ_c (p_c − t_c)²``; at the largest logit the difference is that of ``1 − t`` and the others' part of ``t``."""
    xp = namespace(u)
    is_top = LogSum(xp, u).is_top
    _, e, rest = _from_top(u, is_top, xp.ones_like(is_top))
    error = xp.where(is_top, (1 - t) - t * rest, e - t * (1 + rest)) / (1 + rest)
    return xp.sum(error * error, axis=-1)


def _from_top(u: Array, is_top: Array, counted: Array) -> tuple[Array, Array, Array]:
    """The logit at `is_top`, the exponentials of the counted ones relative to it, and their sum without its own."""
    xp = namespace(u)
    zero = xp.zeros_like(u)
    top = xp.sum(xp.where(is_top, u, zero), axis=-1, keepdims=True)
    top = xp.where(top == -INF, xp.zeros_like(top), top)  # no counted class is possible
    depth = xp.where(counted, u, xp.full_like(u, -INF)) - top
    e = xp.where(is_top, xp.ones_like(u), xp.exp(xp.where(is_top, zero, depth)))
    return top, e, xp.sum(xp.where(is_top, zero, e), axis=-1, keepdims=True)


BRIER = RowFormula("brier", _composition)
