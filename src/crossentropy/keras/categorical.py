"""Keras's cross-entropies of classes as functions, argument for argument, with ours behind them.

Each returns one loss for every row, in float32 or wider.
"""

from typing import Any

from crossentropy._arguments.errors import renamed_in_errors
from crossentropy._backends import Array
from crossentropy._versions import Unpack
from crossentropy.keras._compute import categorical, kullback_leibler
from crossentropy.keras._options import (
    FocalOptions,
    GeneralizedOptions,
    OneHotOptions,
    SparseOptions,
    known_keywords,
)
from crossentropy.keras._tensors import (
    as_indices,
    as_masses,
    as_predictions,
    check_same_shape,
    squeezed,
    without_ignored,
)
from crossentropy.links import Focal, GeneralizedCrossEntropy
from crossentropy.targets import Probabilities

__all__ = [
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "kl_divergence",
    "sparse_categorical_crossentropy",
]


@known_keywords
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    **options: Unpack[OneHotOptions],
) -> Array:
    """Cross-entropy of classes against one-hot or soft labels, as `keras.losses.categorical_crossentropy` has it.

    Parameters
    ----------
    y_true : array, shape of `y_pred`
        One-hot labels of any dtype, or a mass for every class; the masses of a row need not sum to one.
    y_pred : array, floating
        Probabilities, divided by their sum and held between ``keras.config.epsilon()`` and one minus it; or with
        `from_logits` logits.
    from_logits, label_smoothing, axis
        As in Keras: smoothing spreads its share over all classes of `axis`.
    **options
        `link`, `smoothing_prior`, `class_weight` and `validate` of `crossentropy.softmax_cross_entropy`, and of logits
        `temperature`, `softcap`, `logit_bias`, `margin`, `z_loss` and `entropy_bonus`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The loss in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError
        If shapes differ, a probability is outside [0, 1], or a row of them is 0.
    TypeError
        If an option is unknown.

    Examples
    --------
    >>> import keras
    >>> loss = categorical_crossentropy([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    >>> keras.ops.convert_to_numpy(loss).round(4)
    array([0.0513, 2.3026], dtype=float32)
    """
    p = as_predictions(y_pred, from_logits=from_logits)
    masses = as_masses(y_true, p)
    check_same_shape(masses, p)
    target = Probabilities(masses, normalized=False)
    return categorical(
        p, target, from_logits=from_logits, axis=axis, label_smoothing=label_smoothing, **options
    )


@renamed_in_errors(class_weight="alpha")
@known_keywords
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
    **options: Unpack[FocalOptions],
) -> Array:
    """Focal loss of classes, as `keras.losses.categorical_focal_crossentropy` has it.

    Parameters
    ----------
    y_true, y_pred, from_logits, label_smoothing, axis
        As in `categorical_crossentropy`.
    alpha : float or sequence of C floats, default 0.25
        Weight of each class. One number multiplies the whole loss, which by default is a quarter.
    gamma : float, default 2.0
        How much less likely classes count; 0 for cross-entropy.
    **options
        As in `categorical_crossentropy`, but for `link` and `class_weight`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The loss in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError, TypeError
        As `categorical_crossentropy`.

    Examples
    --------
    >>> import keras
    >>> loss = categorical_focal_crossentropy([[0, 1, 0], [0, 0, 1]], [[0.05, 0.9, 0.05], [0.1, 0.85, 0.05]])
    >>> keras.ops.convert_to_numpy(loss).round(7)
    array([2.634000e-04, 6.759121e-01], dtype=float32)
    """
    classes = as_predictions(y_pred).shape[axis]
    is_one = not isinstance(alpha, (list, tuple)) and len(getattr(alpha, "shape", ())) == 0
    weights = [float(alpha)] * classes if is_one else alpha
    return categorical_crossentropy(
        y_true,
        y_pred,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
        link=Focal(gamma),
        class_weight=weights,
        **options,
    )


@known_keywords
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
    **options: Unpack[SparseOptions],
) -> Array:
    """Cross-entropy of classes against their indices, as `keras.losses.sparse_categorical_crossentropy` has it.

    Parameters
    ----------
    y_true : array, shape of `y_pred` without `axis`, or with a size of 1 there
        Class indices of any dtype; integers are compared as integers, and floats are cut to them.
    y_pred : array, floating
        As in `categorical_crossentropy`.
    from_logits, ignore_class, axis
        As in Keras: a row whose label is `ignore_class` has loss 0 and is not counted in the mean.
    **options
        `label_smoothing`, and those of `categorical_crossentropy`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The loss in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, a probability is outside [0, 1], or a row of them is 0. In
        a compiled step such rows are NaN.
    TypeError
        If an option is unknown.

    Examples
    --------
    >>> import keras
    >>> loss = sparse_categorical_crossentropy([1, 2], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
    >>> keras.ops.convert_to_numpy(loss).round(4)
    array([0.0513, 2.3026], dtype=float32)
    """
    p = as_predictions(y_pred, from_logits=from_logits)
    y = squeezed(as_indices(y_true), p, axis)
    losses = categorical(p, y, from_logits=from_logits, axis=axis, ignore_class=ignore_class, **options)
    return without_ignored(losses, y, ignore_class)


@known_keywords
def categorical_generalized_cross_entropy(
    y_true: Any,
    y_pred: Any,
    q: float,
    from_logits: bool = False,
    axis: int = -1,
    **options: Unpack[GeneralizedOptions],
) -> Array:
    """Generalized cross-entropy ``(1 − p^q)/q``, as `keras.losses.categorical_generalized_cross_entropy` has it.

    Parameters
    ----------
    y_true, from_logits, axis
        As in `sparse_categorical_crossentropy`; Keras has neither of the last two.
    y_pred : array, floating
        Probabilities, divided by their sum; or with `from_logits` logits.
    q : float
        From 0 to 1: near 0 cross-entropy, at 1 half the mean absolute error.
    **options
        As in `sparse_categorical_crossentropy`, but for `link`.

    Returns
    -------
    array, shape of `y_pred` without `axis`
        The loss, dimensionless: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError, TypeError
        As `sparse_categorical_crossentropy`, and if `q` is out of range.

    Examples
    --------
    >>> import keras
    >>> loss = categorical_generalized_cross_entropy([0, 1], [[0.64, 0.36], [0.75, 0.25]], q=0.5)
    >>> keras.ops.convert_to_numpy(loss).round(6)
    array([0.4, 1. ], dtype=float32)
    """
    p = as_predictions(y_pred, from_logits=from_logits)
    y = squeezed(as_indices(y_true), p, axis)
    link = GeneralizedCrossEntropy(q)
    losses = categorical(p, y, from_logits=from_logits, axis=axis, clipped=False, link=link, **options)
    return without_ignored(losses, y, options.get("ignore_class"))


@known_keywords
def kl_divergence(y_true: Any, y_pred: Any) -> Array:
    """Kullback–Leibler divergence ``Σ y ln(y/p)`` over the last axis, as `keras.losses.kl_divergence` has it.

    Parameters
    ----------
    y_true, y_pred : array, floating, of one shape
        Probabilities, held between ``keras.config.epsilon()`` and 1; neither is divided by its sum.

    Returns
    -------
    array, shape of `y_pred` without its last axis
        The divergence in nats: float64 for float64 predictions, else float32.

    Raises
    ------
    ValueError
        If shapes differ, or a predicted probability is outside [0, 1].

    Examples
    --------
    >>> import keras
    >>> loss = kl_divergence([[0.5, 0.5]], [[0.25, 0.75]])
    >>> keras.ops.convert_to_numpy(loss).round(4)
    array([0.1438], dtype=float32)
    """
    p = as_predictions(y_pred)
    y = as_masses(y_true, p)
    check_same_shape(y, p)
    return kullback_leibler(p, y)
