"""Cross-entropy of yes-or-no questions: binary and multi-label classification."""

from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy._engine.sigmoid.solve import sigmoid_loss
from crossentropy.links import Link

__all__ = ["sigmoid_cross_entropy"]


@argument_errors
def sigmoid_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    pos_weight: Array | float | None = None,
    label_smoothing: float = 0.0,
    class_weight: Array | float | None = None,
    sample_weight: Array | None = None,
    link: Link | None = None,
    negative_link: Link | None = None,
    negative_shift: float = 0.0,
    axis: int = -1,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Cross-entropy of independent yes-or-no answers, from the log-odds of each.

    With :math:`p = \sigma(z)` and :math:`q = (1 - \varepsilon) t + \varepsilon / 2`, every element costs

    .. math::

        \ell = \omega w_c \bigl( \pi_c\, q\, \varphi_+(\log p) + (1 - q)\, \varphi_-(\log(1 - p_m)) \bigr),
        \qquad p_m = \max(p - m, 0).

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Log-odds ``z`` of "yes", the C questions along `axis`. One-dimensional logits are one question, asked
        of every row. Infinite logits are certain answers.
    labels : array, shape of `logits`
        The truths ``t``: integers 0 and 1, bools, or probabilities in [0, 1]. Nothing is broadcast.
    pos_weight : array (C,) or number, optional
        Factor ``π`` of the "yes" term, not counted in the mean's denominator.
    label_smoothing : float, default 0.0
        Share ``ε`` of a label that is moved to 1/2.
    class_weight : array (C,) or number, optional
        Weight ``w`` of each question; a number stands for every one.
    sample_weight : array, shape of `logits` or that without `axis`, optional
        Weight ``ω`` of each element or row. Where it is 0 the loss and the gradient are 0, whatever the logit
        and the label.
    link : Link, default `crossentropy.links.CrossEntropy`
        What is made of the log-probability of a "yes", ``φ₊``.
    negative_link : Link, default `link`
        What is made of the log-probability of a "no", ``φ₋``.
    negative_shift : float, default 0.0
        ``m``, in probability: a "no" that got less than this costs nothing. With two `Focal` links this is
        the asymmetric loss.
    axis : int, default -1
        The axis of the questions.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each element.
    normalizer : {"weight", "count"}, number or array, default "weight"
        What a mean divides by: ``Σ ω w``, the number of elements (zero weights included), or this.
    empty : {"zero", "nan", "raise"}
        The mean when there is nothing to average.
    validate : {"raise", "none"}
        Whether labels are checked. Unchecked, an integer other than 0 and 1 gives NaN, and a probability
        outside [0, 1] is taken at its word.

    Returns
    -------
    array () or shape of `logits`
        The loss in nats: float64 for float64 logits, else float32. Gradients flow to `logits`, to floating
        `labels` and to `sample_weight`.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is neither 0 nor 1 nor a probability, an option is out of range, or
        weights that are negative are to be divided by.
    TypeError
        If `logits` are not floating, or `labels` are not numbers.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.
    Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For Multi-Label
    Classification", ICCV 2021.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[0.0, 2.0], [-1.0, 40.0]])
    >>> labels = np.asarray([[1, 0], [0, 1]])
    >>> sigmoid_cross_entropy(logits, labels, reduction="none").round(4)
    array([[0.6931, 2.1269],
           [0.3133, 0.    ]])
    >>> float(sigmoid_cross_entropy(logits, labels, pos_weight=[3.0, 1.0]).round(4))
    1.1299
    """
    return sigmoid_loss(
        logits,
        labels,
        pos_weight=pos_weight,
        label_smoothing=label_smoothing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        link=link,
        negative_link=negative_link,
        negative_shift=negative_shift,
        axis=axis,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )
