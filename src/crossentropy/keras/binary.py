"""Keras's cross-entropies of yes-or-no questions as functions, argument for argument, with ours behind them.

Each returns one loss for every row, in float32 or wider, averaged over the axis that Keras averages over.
"""

from typing import Any

from crossentropy._backends import Array
from crossentropy._versions import Unpack
from crossentropy.keras._compute import binary
from crossentropy.keras._options import QuestionOptions, TwoLinkOptions, known_keywords
from crossentropy.keras._tensors import as_labels, as_predictions, check_same_shape

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
]


@known_keywords
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    **options: Unpack[TwoLinkOptions],
) -> Array:
    """Cross-entropy of yes-or-no questions, averaged over `axis`, as `keras.losses.binary_crossentropy` has it.

    Parameters
    ----------
    y_true : array, shape of `y_pred`
        Labels 0 and 1, bools, or probabilities.
    y_pred : array, floating
        Probabilities of "yes", held between ``keras.config.epsilon()`` and one minus it; or with `from_logits` their
        log-odds.
    from_logits, label_smoothing, axis
        As in Keras: smoothing moves a label towards 1/2, and the mean is over `axis`.
    **options
        `pos_weight`, `class_weight`, `link`, `negative_link`, `negative_shift` and `validate` of
        `crossentropy.sigmoid_cross_entropy`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The mean loss in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError
        If shapes differ, a label is neither 0 nor 1 nor a probability, or a probability is outside [0, 1].
    TypeError
        If an option is unknown.

    Examples
    --------
    >>> import keras
    >>> loss = binary_crossentropy([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])
    >>> keras.ops.convert_to_numpy(loss).round(3)
    array([0.916, 0.714], dtype=float32)
    """
    p, y = as_predictions(y_pred, from_logits=from_logits), as_labels(y_true)
    check_same_shape(y, p)
    return binary(p, y, from_logits=from_logits, axis=axis, label_smoothing=label_smoothing, **options)


@known_keywords
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    **options: Unpack[QuestionOptions],
) -> Array:
    """Focal loss of yes-or-no questions, averaged over `axis`, as `keras.losses.binary_focal_crossentropy` has it.

    Of a label that is smoothed or a probability, each answer is focused by its own probability; Keras focuses both by
    their mixture. Of labels 0 and 1 the two are the same.

    Parameters
    ----------
    y_true, y_pred, from_logits, label_smoothing, axis
        As in `binary_crossentropy`.
    apply_class_balancing : bool, default False
        Whether a "yes" is weighed by `alpha` and a "no" by ``1 − alpha``.
    alpha : float, default 0.25
        A share, below 1.
    gamma : float, default 2.0
        How much less likely answers count.
    **options
        `pos_weight`, `class_weight` and `validate` of `crossentropy.sigmoid_cross_entropy`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The mean loss in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError, TypeError
        As `binary_crossentropy`, and if `alpha` is not a share below 1.

    Examples
    --------
    >>> import keras
    >>> loss = binary_focal_crossentropy([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]], gamma=2)
    >>> keras.ops.convert_to_numpy(loss).round(3)
    array([0.33 , 0.206], dtype=float32)
    """
    p, y = as_predictions(y_pred, from_logits=from_logits), as_labels(y_true)
    check_same_shape(y, p)
    balance = alpha if apply_class_balancing else None
    focus = {"gamma": gamma, "alpha": balance, "label_smoothing": label_smoothing}
    return binary(p, y, from_logits=from_logits, axis=axis, **focus, **options)
