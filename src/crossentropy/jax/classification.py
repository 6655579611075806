"""optax's losses of classes that exclude each other, argument for argument, with ours behind them."""

from typing import Any

import jax
import jax.numpy as jnp

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy._engine.options import ExampleOptions, check_names
from crossentropy._engine.softmax.solve import softmax_loss
from crossentropy._versions import Unpack
from crossentropy.jax._rows import Axes, check_floating, masked_rows
from crossentropy.jax._sharded import sharded_loss
from crossentropy.links import Poly
from crossentropy.targets import Probabilities

__all__ = [
    "poly_loss_cross_entropy",
    "safe_softmax_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]


@argument_errors
def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    axis: Axes = -1,
    where: Array | None = None,
    **options: Unpack[ExampleOptions],
) -> jax.Array:
    r"""Cross-entropy of soft or one-hot labels for each example, as `optax.losses.softmax_cross_entropy` has it.

    .. math:: \ell = -\sum_c t_c \log \operatorname{softmax}(z)_c

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, shape of `logits`
        Masses ``t`` of any sum, of any dtype. Nothing is broadcast.
    axis : int, tuple of int or None, default -1
        The axis of the classes. Several axes count as one; None stands for all.
    where : array of bool, optional
        What to include, in the shape of the examples or, for classes, of the logits. An example that is left out, or
        of which no class is included, has loss and gradient 0.
    **options
        `label_smoothing`, `smoothing_prior`, `class_weight`, `sample_weight`, `link`, `temperature`, `softcap`,
        `logit_bias`, `z_loss`, `entropy_bonus` and `validate` of `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array, shape of `logits` without `axis`
        The loss of each example in nats: float64 for float64 logits, else float32. A class of mass 0 at a logit of −∞
        counts 0.

    Raises
    ------
    ValueError
        If shapes do not fit or an option is out of range.
    TypeError
        If `logits` are not floating, or an option is unknown.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> labels = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> [round(x, 4) for x in softmax_cross_entropy(logits, labels).tolist()]
    [0.2761, 2.9518]
    """
    check_names(options, ExampleOptions)
    (logits,) = check_floating(logits=logits)
    labels = jnp.asarray(labels)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels have shape {labels.shape} and the logits {logits.shape}; labels are masses for every class, and "
            "nothing is broadcast. For class indices call softmax_cross_entropy_with_integer_labels"
        )
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        labels = jnp.astype(labels, jnp.promote_types(logits.dtype, jnp.float32))
    return _of_examples(logits, labels, None, axis, where, options)


@argument_errors
def softmax_cross_entropy_with_integer_labels(
    logits: Array,
    labels: Array,
    axis: int | tuple[int, ...] = -1,
    where: Array | None = None,
    *,
    axis_name: Any = None,
    **options: Unpack[ExampleOptions],
) -> jax.Array:
    r"""Cross-entropy of class indices, as `optax.losses.softmax_cross_entropy_with_integer_labels` has it.

    .. math:: \ell = -\log \operatorname{softmax}(z)_y

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : integer array, shape of `logits` without `axis`
        Classes ``y``. Nothing is broadcast.
    axis : int or tuple of int, default -1
        The axis of the classes. Of several axes a label is the flat index, in their order.
    where : array of bool, optional
        What to include, in the shape of the examples or, for classes, of the logits. An example that is left out, or
        of which no class is included, has loss and gradient 0. A label whose class is left out has an infinite loss.
    axis_name : str, optional
        Under `jax.shard_map`, the axis of the mesh over which the classes are split, in its order: `logits` are this
        device's part, on the last axis, and everything else is whole. One sum over the devices, of some numbers for
        each example, makes the loss, which is the same on all.
    **options
        Those of `softmax_cross_entropy`, and `ignore_index` and `margin`.

    Returns
    -------
    array, shape of `labels`
        The loss of each example in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, an option is out of range, or a label is outside the classes and can be read. Under
        `jax.jit` that example's loss and gradient are NaN; negative labels do not count from the end.
    TypeError
        If `logits` are not floating or `labels` are not integers, or an option is unknown.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> [round(x, 4) for x in softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1])).tolist()]
    [0.2761, 2.9518]
    """
    check_names(options, ExampleOptions)
    (logits,) = check_floating(logits=logits)
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels have dtype {labels.dtype}; pass integers, or masses for every class to softmax_cross_entropy"
        )
    if axis is None:
        raise TypeError("axis is None; pass the axis of the classes, or a tuple of axes")
    if axis_name is not None:
        return sharded_loss(logits, labels, axis, where, axis_name, options)
    return _of_examples(logits, None, labels, axis, where, options)


@argument_errors
def safe_softmax_cross_entropy(logits: Array, labels: Array) -> jax.Array:
    """`softmax_cross_entropy` on the last axis; optax's has a name of its own for logits of −∞, which ours takes.

    Parameters
    ----------
    logits : array (..., C), floating
    labels : array, shape of `logits`

    Returns
    -------
    array (...)
        The loss of each example in nats.

    Raises
    ------
    ValueError, TypeError
        As `softmax_cross_entropy` does.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([[-jnp.inf, 0.0, 0.0]]), jnp.array([[0.0, 0.5, 0.5]])
    >>> print(safe_softmax_cross_entropy(logits, labels).round(4))
    [0.6931]
    """
    return softmax_cross_entropy(logits, labels)


@argument_errors
def poly_loss_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    epsilon: Array = 2.0,
    axis: Axes = -1,
    where: Array | None = None,
) -> jax.Array:
    r"""PolyLoss of soft or one-hot labels for each example, as `optax.losses.poly_loss_cross_entropy` has it.

    .. math:: \ell = \sum_c t_c \bigl( -\log p_c + \varepsilon (1 - p_c) \bigr)

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : floating array, shape of `logits`
    epsilon : float, default 2.0
    axis, where
        As in `softmax_cross_entropy`.

    Returns
    -------
    array, shape of `logits` without `axis`
        The loss of each example in nats.

    Raises
    ------
    ValueError, TypeError
        As `softmax_cross_entropy` does, and if labels are not floating.

    References
    ----------
    Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss
    Functions", ICLR 2022.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(poly_loss_cross_entropy(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]])).round(4))  # ln 2 + 2 · 1/2
    [1.6931]
    """
    check_floating(labels=labels)
    return softmax_cross_entropy(logits, labels, axis, where, link=Poly(epsilon))


def _of_examples(
    logits: jax.Array,
    soft: jax.Array | None,
    labels: jax.Array | None,
    axis: Axes,
    where: Any,
    options: ExampleOptions,
) -> jax.Array:
    """The loss of every example, of soft labels or of class indices."""
    smoothing = options.get("label_smoothing", 0.0)
    weight = options.get("sample_weight")
    z, t, place, options["sample_weight"] = masked_rows(logits, soft, axis, where, weight, smoothing)
    target = labels if t is None else Probabilities(t, normalized=False)
    return softmax_loss(z, target, axis=place, reduction="none", **options)
