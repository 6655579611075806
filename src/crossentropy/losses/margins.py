"""Losses that ask for a margin between cosines."""

from math import cos, pi, sin
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, as_indices, namespace, taken_along
from crossentropy._backends.conditions import check_static, first_true, is_true
from crossentropy._engine.checks import check_logits
from crossentropy._engine.options import RowOptions, WithoutMargin
from crossentropy._engine.rows.formula import (
    inverse_scale,
    one_label,
    row_problem,
    row_weights,
    weight_and_reduce,
)
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._rows import row_in_words
from crossentropy._statistics import formulas
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy._versions import Unpack
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = ["arcface_loss", "cosface_loss"]


@argument_errors
def cosface_loss(
    cosines: Array,
    labels: Any,
    *,
    margin: float = 0.35,
    scale: float = 64.0,
    **options: Unpack[WithoutMargin],
) -> Array:
    r"""CosFace: cross-entropy of scaled cosines, the label's less a margin.

    .. math:: \ell = -\log \frac{e^{s (\cos\theta_y - m)}}
              {e^{s (\cos\theta_y - m)} + \sum_{c \neq y} e^{s \cos\theta_c}}

    Parameters
    ----------
    cosines : array (..., C, ...), floating
        Cosines of the angles between a feature and the classes' weights, before any scale.
    labels
        As in `crossentropy.softmax_cross_entropy`.
    margin : float, default 0.35
        ``m``, off the cosine.
    scale : float, default 64.0
        ``s``.
    **options
        Those of `crossentropy.softmax_cross_entropy` but `temperature`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 cosines, else float32.

    Raises
    ------
    ValueError
        If `scale` is not positive, or as `crossentropy.softmax_cross_entropy` does.

    References
    ----------
    Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> float(cosface_loss(np.asarray([[0.8, 0.5, -0.2]]), np.asarray([0])).round(6))
    3.239953
    """
    cosines, _ = check_logits(cosines, options.get("axis", -1), "cosines", labels=labels)
    return softmax_cross_entropy(cosines, labels, margin=margin, temperature=inverse_scale(scale), **options)


@argument_errors
def arcface_loss(
    cosines: Array,
    labels: Any,
    *,
    margin: float = 0.5,
    scale: float = 64.0,
    **options: Unpack[RowOptions],
) -> Array:
    r"""ArcFace: cross-entropy of scaled cosines, the label's angle widened by a margin.

    .. math:: \ell = -\log \frac{e^{s \cos(\theta_y + m)}}
              {e^{s \cos(\theta_y + m)} + \sum_{c \neq y} e^{s \cos\theta_c}}

    Parameters
    ----------
    cosines : array (..., C, ...), floating
        Cosines of the angles between a feature and the classes' weights, before any scale.
    labels : integer array, shape of the rows
        Class indices; or `targets.OneHot`.
    margin : float, default 0.5
        ``m`` in radians, from 0 to below π. (pytorch-metric-learning counts degrees, 28.6.)
    scale : float, default 64.0
        ``s``.
    axis, class_weight, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 cosines, else float32. Gradients flow to `cosines` and `sample_weight`.

    Raises
    ------
    ValueError
        If a label's cosine is outside −1 to 1 by more than rounding, `margin` or `scale` is out of range, or as
        `crossentropy.softmax_cross_entropy` does.
    TypeError
        If a row has not just one label.

    Notes
    -----
    Past ``θ = π − m`` the angle would turn back, and the label's logit with it. There it is ``s (cos θ − m sin m)``
    instead, as in the code of the paper: it keeps rising with the cosine, with a step between the two.

    The loss is that of the log-odds ``D + s (cos θ_y − cos(θ_y + m))`` against the label, with ``D`` those of the plain
    scaled cosines. The slope of ``cos(θ + m)`` is infinite at ``cos θ = ±1``. There, and where rounding took a cosine
    farther, ``sin θ`` is 0 with a slope of 0.

    References
    ----------
    Deng, Guo, Xue, Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> float(arcface_loss(np.asarray([[0.8, 0.5, -0.2]]), np.asarray([0])).round(6))
    5.481884
    """
    temperature = inverse_scale(scale)
    check_static(margin=margin)
    if not 0 <= margin < pi:
        raise ValueError(f"margin is {margin}; it is an angle in radians, from 0 to below π")
    cosines, _ = check_logits(cosines, options.get("axis", -1), "cosines", labels=labels)
    problem = row_problem(cosines, labels, options, temperature=temperature)
    labels = one_label(problem, "arcface_loss")
    D = find_statistics(problem).log_odds
    cosine = _label_cosines(problem, labels)
    xp = namespace(cosine)
    square = (1 - cosine) * (1 + cosine)
    inside = square > 0
    sine = xp.where(inside, xp.sqrt(xp.where(inside, square, xp.ones_like(square))), xp.zeros_like(square))
    # cos θ − cos(θ + m), nothing in it cancels
    less = cosine * (2 * sin(margin / 2) ** 2) + sine * sin(margin)
    less = xp.where(cosine < -cos(margin), xp.full_like(less, margin * sin(margin)), less)
    return weight_and_reduce(problem, -log_sigmoid(-(formula.link_odds(problem, D) + scale * less)))


def _label_cosines(problem: SoftmaxProblem, labels: Array) -> Array:
    """The cosine of every row's label, 0 where the row counts for nothing."""
    y = as_indices(labels)
    xp = namespace(y)
    known = (y >= 0) & (y < problem.classes)
    place = xp.expand_dims(xp.where(known, y, xp.zeros_like(y)), axis=problem.axis)
    cosine = xp.squeeze(taken_along(problem.logits, place, problem.axis), axis=problem.axis)
    cosine = formulas.widened(cosine)
    weights = row_weights(problem)
    if weights is not None:
        cosine = xp.where(weights == 0, xp.zeros_like(cosine), cosine)
    allowed = 1 + max(1e-3, 2 * float(xp.finfo(problem.dtype).eps))
    far = xp.abs(cosine) > allowed
    if problem.validate and is_true(xp.any(far)):
        row = first_true(far)
        raise ValueError(
            f"the cosine of {row_in_words(row)} with its label is {float(cosine[row]):.6g}, outside "
            "[-1, 1]; pass cosines of normalized features and weights, before the scale"
        )
    return cosine
