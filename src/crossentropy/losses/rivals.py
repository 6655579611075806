"""What cross-entropy is compared with: the squared error of probabilities, and hinges."""

from typing import Any, Unpack

from crossentropy.arguments import argument_errors
from crossentropy.backends import device, namespace
from crossentropy.conditions import is_false
from crossentropy.losses._option_sets import RowOptions
from crossentropy.losses._row_formula import (
    finished,
    one_label,
    prepared_rows,
    probabilities,
    row_problem,
)
from crossentropy.losses._warnings import warn_of_probabilities
from crossentropy.statistics import reference

__all__ = ["brier_loss", "hinge_loss"]

Array = Any

INF = float("inf")
KINDS = ("crammer-singer", "weston-watkins")


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
        The loss, from 0 to 2 for a label: float64 for float64 logits, else float32. Gradients flow to `logits`, soft
        labels and `sample_weight`.

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
    It is computed by plain formulas, without a kernel of its own.

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
    if problem.validate:
        warn_of_probabilities(problem.logits, problem.axis)
    rows = prepared_rows(problem)
    p = probabilities(rows.u)
    xp = namespace(p)
    if rows.on is not None and problem.masses is None:
        others = xp.where(rows.on, xp.zeros_like(p), p)
        return finished(problem, xp.sum(others, axis=-1) ** 2 + xp.sum(others**2, axis=-1))
    if problem.masses is not None:
        mass = reference.widened(problem.masses)[..., None]
        t = xp.sum(xp.where(rows.on, mass, xp.zeros_like(mass)), axis=-2)
        return finished(problem, xp.sum((p - t) ** 2, axis=-1))
    t = reference.class_last(reference.widened(problem.target.dense), problem.axis)
    w = problem.class_weight
    masses = None if w is None else xp.sum(t * reference.widened(w), axis=-1)
    return finished(problem, xp.sum((p - t) ** 2, axis=-1), masses)


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
        The loss: float64 for float64 logits, else float32. Gradients flow to `logits` and `sample_weight`.

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
    rows = prepared_rows(problem)
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
    return finished(problem, losses)
