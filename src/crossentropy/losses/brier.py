"""What cross-entropy is compared with: the squared error of probabilities, and hinges."""

from dataclasses import replace
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, namespace
from crossentropy._engine.options import RowOptions
from crossentropy._engine.rows.formula import prepare_rows, probabilities, row_problem, weight_and_reduce
from crossentropy._engine.softmax.problem import RowFormula, SoftmaxProblem
from crossentropy._engine.softmax.solve import solve
from crossentropy._statistics import formulas
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
    rows = prepare_rows(problem)
    p = probabilities(rows.u)
    xp = namespace(p)
    if rows.on is not None and problem.masses is None:
        others = xp.where(rows.on, xp.zeros_like(p), p)
        return weight_and_reduce(problem, xp.sum(others, axis=-1) ** 2 + xp.sum(others**2, axis=-1))
    if problem.masses is not None:
        mass = formulas.widened(problem.masses)[..., None]
        t = xp.sum(xp.where(rows.on, mass, xp.zeros_like(mass)), axis=-2)
        return weight_and_reduce(problem, xp.sum((p - t) ** 2, axis=-1))
    t = formulas.class_last(formulas.widened(problem.target.dense), problem.axis)
    w = problem.class_weight
    masses = None if w is None else xp.sum(t * formulas.widened(w), axis=-1)
    return weight_and_reduce(problem, xp.sum((p - t) ** 2, axis=-1), masses)


BRIER = RowFormula("brier", 0.0, _composition)
