"""Hinge losses: margins between the logit of the label and the others."""

from dataclasses import replace
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, device, namespace
from crossentropy._backends.conditions import is_false
from crossentropy._engine.options import RowOptions
from crossentropy._engine.rows.formula import (
    fill_rows,
    one_label,
    prepare_rows,
    row_problem,
    weight_and_reduce,
)
from crossentropy._engine.softmax.problem import FormulaNumbers, RowFormula, SoftmaxProblem
from crossentropy._engine.softmax.solve import solve
from crossentropy._versions import Unpack

__all__ = ["hinge_loss"]


KINDS = ("crammer-singer", "weston-watkins")


@argument_errors
def hinge_loss(
    logits: Array,
    labels: Any,
    *,
    kind: str = "crammer-singer",
    margin: float = 1.0,
    **options: Unpack[RowOptions],
) -> Array:
    r"""Hinge loss of several classes: what the label's score lacks to lead the others' by a margin.

    .. math:: \ell = \max\bigl(0,\, m + \max_{c \neq y} z_c - z_y\bigr)
              \quad\text{or}\quad \ell = \sum_{c \neq y} \max(0,\, m + z_c - z_y)

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Scores of the C classes along `axis`.
    labels : integer array, shape of the rows
        Class indices; or `targets.OneHot`.
    kind : {"crammer-singer", "weston-watkins"}
        The first formula, in which the best of the other classes counts, or the second, in which all do.
    margin : float, default 1.0
        ``m``; 0 is the loss of the perceptron.
    axis, class_weight, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        The loss in units of the logits, dimensionless: float64 for float64 logits, else float32. Gradients flow to
        `logits` and `sample_weight`.

    Raises
    ------
    ValueError
        If `kind` is unknown, `margin` is negative, or as `crossentropy.softmax_cross_entropy` does.
    TypeError
        If a row has not just one label, or there is an option that this loss does not have.

    Notes
    -----
    PyTorch's ``MultiMarginLoss`` is the second kind divided by C; scikit-learn's ``hinge_loss`` the first.

    Where the loss has a kink its gradient is the smaller one: 0 for a class that meets the margin exactly. Of several
    best classes the first has the gradient, whole.

    References
    ----------
    Crammer, Singer, "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines", JMLR 2001.
    Weston, Watkins, "Support Vector Machines for Multi-Class Pattern Recognition", ESANN 1999.

    Examples
    --------
    >>> import numpy as np
    >>> logits, labels = np.asarray([[1.0, 0.5, 0.25]]), np.asarray([0])
    >>> float(hinge_loss(logits, labels)), float(hinge_loss(logits, labels, kind="weston-watkins"))
    (0.5, 0.75)
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; write "crammer-singer" or "weston-watkins"')
    if is_false((margin >= 0) & (margin < INF)):
        raise ValueError(f"margin is {margin}; it is a lead that is asked for, so it is 0 or more")
    problem = row_problem(logits, labels, options)
    one_label(problem, "hinge_loss")
    if not isinstance(margin, (int, float)):  # it may learn
        return _by_formulas(problem, kind, margin)
    return solve(replace(problem, formula=RowFormula(kind, _composition, FormulaNumbers(float(margin)))))


def _composition(problem: SoftmaxProblem) -> Array:
    kind, _, numbers = problem.formula  # type: ignore[misc]  # this is it
    return _by_formulas(problem, kind, numbers[0])


def _by_formulas(problem: SoftmaxProblem, kind: str, margin: Any) -> Array:
    """The loss by formulas."""
    rows = prepare_rows(problem)
    z: Array = rows.u
    on: Array = rows.on
    xp = namespace(z)
    zero = xp.zeros_like(z)
    own = xp.sum(xp.where(on, z, zero), axis=-1, keepdims=True)
    if kind == "crammer-singer":
        others = xp.where(on, xp.full_like(z, -INF), z)
        best = xp.argmax(others, axis=-1, keepdims=True)
        rival = xp.arange(z.shape[-1], device=device(z)) == best
    else:
        rival = ~on
    rival = rival & ~on & (z != -INF)
    lacks = xp.where(rival, margin + (xp.where(rival, z, zero) - own), zero)
    losses = xp.sum(xp.where(lacks <= 0, zero, lacks), axis=-1)
    return weight_and_reduce(problem, fill_rows(losses, rows))
