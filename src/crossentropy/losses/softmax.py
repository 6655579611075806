"""Cross-entropy of one class among many."""

from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._arguments.warnings import LAST_AXIS, warn_of_axis
from crossentropy._backends import Array
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy.links import Link

__all__ = ["softmax_cross_entropy"]


@argument_errors
def softmax_cross_entropy(
    logits: Array,
    labels: Any,
    *,
    axis: int = LAST_AXIS,
    label_smoothing: float = 0.0,
    smoothing_prior: Array | None = None,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    link: Link | None = None,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    margin: Any = None,
    z_loss: float = 0.0,
    entropy_bonus: float = 0.0,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
    inplace: bool = False,
) -> Array:
    r"""Cross-entropy between labels and the softmax of logits.

    A row of logits :math:`z` with the target masses :math:`t` costs

    .. math:: \ell = \omega \Bigl( \sum_c w_c q_c\, \varphi(\log p_c) + \lambda L^2 - \eta H \Bigr),
              \qquad q = (1 - \varepsilon)\, t + \varepsilon r,

    where :math:`p = \mathrm{softmax}(u)`, :math:`L = \ln \sum_c e^{u_c}`, :math:`H` is the entropy of :math:`p` and

    .. math:: u_c = (\kappa \tanh(z_c / \kappa) - m\,[c \in \mathrm{target}]) / T + b_c.

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Scores ``z`` of the C classes along `axis`.
    labels : array, or one of `crossentropy.targets`
        Integers in the shape of the logits without `axis` are class indices; floats in their whole shape are
        probabilities of the classes. `targets.OneHot`, `Probabilities`, `Sparse` and `LabelSet` say the rest.
    axis : int, default -1
        The axis of the classes; 1 for logits (N, C, …) as PyTorch has them. No axis order is copied into another.
    label_smoothing : float, default 0.0
        Share ``ε`` of the mass that goes to `smoothing_prior`.
    smoothing_prior : array (C,), default uniform
        The distribution ``r``.
    class_weight : array (C,), optional
        Weight ``w`` of each class. Multiplies the loss and counts in the mean's denominator.
    sample_weight : array, shape of the rows, optional
        Weight ``ω`` of each row; a mask is a weight of 0 and 1. Where it is 0, loss and gradient are 0 whatever the
        logits.
    ignore_index : int, optional
        A label whose rows are left out. No label is unless this says so.
    link : Link, default `crossentropy.links.CrossEntropy`
        ``φ``, what is made of the log-probability of a target. One label a row gives it ``D`` in the rows' shape,
        `targets.Sparse` in that of its indices, soft and smoothed targets with the classes as the last axis.
        Gradients flow to the arrays that it holds.
    temperature : float, or array () or of the rows' shape, default 1.0
        ``T``, positive.
    softcap : float, optional
        ``κ``, a smooth bound on the logits.
    logit_bias : array (C,), optional
        ``b``: log-priors (logit adjustment), corrections for sampled classes.
    margin : float or array (C,), optional
        ``m``, taken off the logits of the target.
    z_loss, entropy_bonus : float, default 0.0
        ``λ`` and ``η``.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each row.
    normalizer : {"weight", "count"}, number or array, default "weight"
        What a mean divides by: ``Σ ω w_y``, the number of rows not ignored (zero weights included), or this; an array
        divides row by row before the sum.
    empty : {"zero", "nan", "raise"}
        The mean when there is nothing to average; its gradient is 0. What cannot be raised, in a traced function, is
        NaN.
    validate : {"raise", "none"}
        Whether labels and soft targets are checked. Unchecked, and where values cannot be read (under tracing, on
        other devices), the row of a label outside the classes is NaN, its gradient too.
    inplace : bool, default False
        Whether PyTorch's backward pass may write the gradient over the logits.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32. Gradients flow to `logits`, floating `labels`,
        `sample_weight`, `temperature`, `logit_bias` and `margin`; and to `label_smoothing`, `z_loss` and
        `entropy_bonus` where these are arrays of one number.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, soft targets do not sum to one, an option is out of
        range, or weights that are negative are to be divided by.
    TypeError
        If logits are not floating or the dtype of the labels does not fit their shape.

    Warns
    -----
    UserWarning
        If the logits are probabilities already, and if `axis` is left out where axis 1 would fit as well as the last.

    Notes
    -----
    The log-odds against a label, ``D = ln Σ_{c≠y} e^{u_c} − u_y``, are formed without the label's own term, so a
    loss of 1e-30 has all its digits; ``−log p_y = softplus(D)``. On the CPU, index targets under a link of
    `crossentropy.links` but `Custom` and `Tsallis` over 1 give the same bits for any number of threads and any place of
    a row among others. A link other than `CrossEntropy` on soft or smoothed targets acts on every class: `Focal`,
    `GeneralizedCrossEntropy`, `Tsallis` under 1 and `MeanAbsoluteError` in one pass of the CPU's kernels, others by
    plain formulas.

    Options that are numbers may be traced by JAX, and are not checked then; one that decides which formula or shape is
    computed is refused, and its message names ``static_argnames``.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[2.0, 1.0, -1.0], [0.0, 2.0, -2.0], [1.0, 1.0, -1.0], [0.0, 1.0, 0.0]])
    >>> float(softmax_cross_entropy(logits, np.asarray([0, 1, 2, 1])).round(7))
    0.9505031
    >>> softmax_cross_entropy(logits, np.asarray([0, 1, -1, 1]), ignore_index=-1, reduction="none").round(4)
    array([0.349 , 0.1429, 0.    , 0.5514])
    """
    if axis is LAST_AXIS and getattr(logits, "ndim", 2) > 2:
        warn_of_axis(logits, labels)
    problem = make_problem(  # by position, which is quicker
        logits,
        labels,
        axis,
        label_smoothing,
        smoothing_prior,
        class_weight,
        sample_weight,
        ignore_index,
        link,
        temperature,
        softcap,
        logit_bias,
        margin,
        reduction,
        normalizer,
        empty,
        validate,
        inplace,
        z_loss=z_loss,
        entropy_bonus=entropy_bonus,
        checks_sets=False,
        warns=True,
    )
    return solve(problem)
