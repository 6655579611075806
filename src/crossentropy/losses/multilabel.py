"""Losses of several yes-or-no answers for every row."""

from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_option
from crossentropy._arguments.errors import argument_errors, number
from crossentropy._backends import INF, Array, loss_dtype, namespace
from crossentropy._backends.conditions import is_false, is_true
from crossentropy._backends.dtypes import dtype_name
from crossentropy._engine.checks import check_logits, check_validate
from crossentropy._engine.options import BinaryOptions
from crossentropy._engine.reductions import normalizer_of
from crossentropy._engine.rows.reduce import reduced
from crossentropy._engine.sigmoid.formula import element_weights
from crossentropy._engine.sigmoid.labels import check_binary_labels, nan_where_invalid, valid_labels
from crossentropy._engine.sigmoid.problem import make_problem
from crossentropy._engine.weights import row_values
from crossentropy._rows import rows_shape
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.log_sum import log1p_sum_exp
from crossentropy._versions import Unpack
from crossentropy.links import Focal
from crossentropy.losses.sigmoid import sigmoid_cross_entropy

__all__ = ["asymmetric_loss", "sigmoid_focal_loss", "zlpr_loss"]


@argument_errors
def asymmetric_loss(
    logits: Array,
    labels: Array,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    negative_shift: float = 0.05,
    **options: Unpack[BinaryOptions],
) -> Array:
    r"""Asymmetric loss (ASL): the many easy "no" of multi-label data count little, and the easiest nothing.

    .. math::

        \ell = -t\, (1 - p)^{\gamma_+} \log p - (1 - t)\, p_m^{\gamma_-} \log(1 - p_m),
        \qquad p_m = \max(p - m, 0)

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, shape of `logits`
        As in `crossentropy.sigmoid_cross_entropy`.
    gamma_positive, gamma_negative : float, default 0.0 and 4.0
        ``γ₊`` and ``γ₋``, how much less likely answers count. The paper's defaults; timm and the authors' code have
        ``gamma_positive=1``.
    negative_shift : float, default 0.05
        ``m``: a "no" whose probability of "yes" is below it costs nothing.
    **options
        `pos_weight`, `label_smoothing`, `class_weight`, `sample_weight`, `axis`, `reduction`, `normalizer`, `empty`
        and `validate` of `crossentropy.sigmoid_cross_entropy`.

    Returns
    -------
    array () or shape of `logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.sigmoid_cross_entropy` does.

    Notes
    -----
    The paper, its code and timm sum over labels *and* rows: write ``reduction="sum"`` for their loss; the mean here is
    over elements. Their codes also clamp probabilities at 1e-8, so that a confident mistake costs at most 18.4 and has
    no gradient; nothing is clamped here. The gradient flows through the focusing factors, as in the paper; timm can
    leave it out (``disable_torch_grad_focal_loss``), the authors' older code did.

    References
    ----------
    Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For Multi-Label
    Classification", ICCV 2021.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[2.0, -4.0, 1.0]])
    >>> asymmetric_loss(logits, np.asarray([[1, 0, 0]]), reduction="none").round(4)
    array([[0.1269, 0.    , 0.2459]])
    """
    for name, gamma in (("gamma_positive", gamma_positive), ("gamma_negative", gamma_negative)):
        if is_false((number(gamma, name) >= 0) & (gamma < INF)):
            raise ValueError(f"{name} is {gamma}; it is an exponent, finite and at least 0")
    return sigmoid_cross_entropy(
        logits,
        labels,
        link=Focal(gamma_positive),
        negative_link=Focal(gamma_negative),
        negative_shift=negative_shift,
        **options,
    )


@argument_errors
def sigmoid_focal_loss(
    logits: Array,
    labels: Array,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    **options: Unpack[BinaryOptions],
) -> Array:
    r"""Focal loss of yes-or-no questions, as RetinaNet has it.

    .. math:: \ell = -\alpha\, t\, (1 - p)^{\gamma} \log p - (1 - \alpha)(1 - t)\, p^{\gamma} \log(1 - p)

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, shape of `logits`
        As in `crossentropy.sigmoid_cross_entropy`.
    alpha : float or None, default 0.25
        Weight ``α`` of a "yes"; that of a "no" is ``1 − α``. None, or torchvision's −1, weighs both with 1.
    gamma : float, default 2.0
        How much less likely answers count; 0 for none.
    **options
        `pos_weight`, `label_smoothing`, `class_weight`, `sample_weight`, `axis`, `reduction`, `normalizer`, `empty`
        and `validate` of `crossentropy.sigmoid_cross_entropy`.

    Returns
    -------
    array () or shape of `logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If `alpha` is not a share below 1, and as `crossentropy.sigmoid_cross_entropy` does.
    TypeError
        As `crossentropy.sigmoid_cross_entropy` does.

    Notes
    -----
    ``α`` weighs terms and is in no denominator: the mean is over elements, each counted with its own `sample_weight`
    and `class_weight`, as torchvision's ``"mean"`` is (its default is ``reduction="none"``). The paper divides the sum
    by the number of positive anchors instead: ``normalizer=max(labels.sum(), 1)``. Of labels that are probabilities,
    each answer is focused by its own probability; torchvision and Keras focus both by ``t p + (1 − t)(1 − p)``.
    Keras's and kornia's *categorical* losses use an ``α`` of another meaning, a factor of classes: that is
    `class_weight` of `focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> logits, labels = np.asarray([0.0, 0.0]), np.asarray([1, 0])
    >>> sigmoid_focal_loss(logits, labels, reduction="none").round(4)  # ln 2 · 1/4 · (1/4 and 3/4)
    array([0.0433, 0.13  ])
    """
    if alpha is None or is_true(alpha == -1):
        return sigmoid_cross_entropy(logits, labels, link=Focal(gamma), **options)
    if is_false((alpha >= 0) & (alpha < 1)):
        raise ValueError(
            f"alpha is {alpha}; it is the weight of a yes and 1 − alpha that of a no: 0 ≤ alpha < 1, or None. "
            "To leave every no out, pass alpha=None and sample_weight=labels"
        )
    alpha = widened(alpha)
    _, (logits, labels) = as_arrays(logits=logits, labels=labels)
    axis, reduction = options.get("axis", -1), options.get("reduction", "mean")
    class_weight, normalizer = options.get("class_weight"), options.get("normalizer", "weight")
    if reduction == "mean" and isinstance(normalizer, str) and normalizer == "weight":
        options["normalizer"] = _weight_of_elements(
            logits, labels, options.get("sample_weight"), axis, class_weight
        )
    options["class_weight"] = _times(class_weight, 1 - alpha, logits)
    options["pos_weight"] = _times(options.get("pos_weight"), alpha / (1 - alpha), logits)
    return sigmoid_cross_entropy(logits, labels, link=Focal(gamma), **options)


@argument_errors
def zlpr_loss(
    logits: Array,
    labels: Array,
    *,
    axis: int = -1,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Zero-bounded log-sum-exp and pairwise rank loss: every "yes" above zero, every "no" below, as a whole.

    .. math:: \ell = \ln\Bigl(1 + \sum_{c \notin Y} e^{z_c}\Bigr) + \ln\Bigl(1 + \sum_{c \in Y} e^{-z_c}\Bigr)

    These are two cross-entropies of a class with the logit zero, one among the wrong labels and one among the
    negated right ones: a row's loss is led by its worst label on either side, however many labels there are.

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, shape of `logits`
        Integers 0 and 1 or bools; or probabilities in [0, 1], whose terms are ``(1 − t) e^z`` and ``t e^(−z)``, the
        paper's soft version.
    axis : int, default -1
        The axis of the labels of a row.
    sample_weight : array, shape of the rows, optional
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`: the mean is over rows.
    validate : {"raise", "none"}
        Whether labels are checked. Unchecked, a row with a label that is none is NaN.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32. Gradients flow to `logits` and `sample_weight`.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is neither 0 nor 1 nor a probability, or an option is out of range.
    TypeError
        If logits are not floating.

    References
    ----------
    Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label Classification", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[3.0, -2.0, -1.0], [0.0, 0.0, 0.0]])
    >>> zlpr_loss(logits, np.asarray([[1, 0, 0], [1, 1, 0]]), reduction="none").round(4)
    array([0.4562, 1.7918])
    """
    xp, (logits, t) = as_arrays(logits=logits, labels=labels)
    logits, axis = check_logits(logits, axis)
    if tuple(t.shape) != tuple(logits.shape):
        raise ValueError(
            f"labels have shape {tuple(t.shape)} but logits have shape {tuple(logits.shape)}; pass one label for every "
            "logit, or class indices to softmax_cross_entropy"
        )
    weights = row_values(sample_weight, logits, rows_shape(tuple(logits.shape), axis), "sample_weight")
    z = xp.astype(logits, loss_dtype(logits), copy=False)
    if weights is not None:  # a row without weight may hold what makes no sense, and 0 · NaN is NaN
        counted = xp.expand_dims(weights != 0, axis=axis)
        z, t = (xp.where(counted, x, xp.zeros_like(x)) for x in (z, t))
    checks = check_validate(validate)
    if dtype_name(t) != "bool" and checks and is_true(xp.all((t == 0) | (t == 1))):
        t = xp.astype(t, xp.bool)  # which needs no check of each label, and no logarithm
    sides = [_scaled(xp, z, t, wrong=True), _scaled(xp, -z, t, wrong=False)]
    if dtype_name(t) != "bool":
        valid = valid_labels(t)
        if checks:
            check_binary_labels(t, valid, None)
        sides = [nan_where_invalid(u, valid, None) for u in sides]
    return reduced(
        log1p_sum_exp(sides[0], axis) + log1p_sum_exp(sides[1], axis),
        logits,
        sample_weight=weights,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


def _weight_of_elements(
    logits: Array, labels: Array, sample_weight: Array | None, axis: int, class_weight: Any
) -> Any:
    """``Σ ω w``: what a mean over elements divides by, whatever else they are multiplied by."""
    problem = make_problem(logits, labels, sample_weight=sample_weight, axis=axis, class_weight=class_weight)
    weights = element_weights(problem, namespace(problem.logits))
    return normalizer_of(
        "weight", None if weights is None else weights[1], tuple(problem.logits.shape), problem.logits
    )


def _times(weight: Any, factor: float, logits: Array) -> Any:
    """`weight`, of which None stands for 1, times a number."""
    return factor if weight is None else as_option(weight, "class_weight", logits) * factor


def _scaled(xp: Any, z: Array, t: Array, *, wrong: bool) -> Array:
    """``z`` of the labels that are wrong (or right) and −∞ of the others; of soft labels ``z + ln`` of their share."""
    if "float" not in dtype_name(t):
        right = xp.astype(t, xp.bool)
        return xp.where(~right if wrong else right, z, xp.full_like(z, -INF))
    t = xp.astype(t, z.dtype)
    none = (t >= 1) if wrong else (t <= 0)
    safe = xp.where(none, xp.full_like(t, 0.5), t)
    return xp.where(none, xp.full_like(z, -INF), z + (xp.log1p(-safe) if wrong else xp.log(safe)))
