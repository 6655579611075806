"""Losses with their gradients where there is no automatic differentiation: NumPy."""

from collections.abc import Callable
from typing import Any

from crossentropy._arguments.arrays import as_array
from crossentropy._backends import Array, constant, is_numpy, is_taped
from crossentropy._backends.tape import Taped, gradient_of

__all__ = ["loss_and_gradient"]


def loss_and_gradient(
    loss: Callable[..., Array], logits: Array, *arguments: Any, **options: Any
) -> tuple[Array, Array]:
    """A loss of NumPy arrays and its gradient by the first of them.

    The loss may be any of this package and any function that is composed of them, of `crossentropy.target_statistics`
    and of NumPy's arithmetic. What it computes from the logits (a weight, a target) is differentiated too; everything
    else that it is given is a constant.

    Parameters
    ----------
    loss : function
        Called as ``loss(logits, *arguments, **options)``.
    logits : array or list, floating
        What the gradient is by: logits, or the embeddings of a contrastive loss, or log-probabilities.
    *arguments, **options
        The loss's own: labels, weights, a teacher's logits. With ``reduction="none"`` the gradient is that of the
        losses' sum.

    Returns
    -------
    value : array
        What the loss returned, in its unit (nats, of a cross-entropy) and dtype.
    gradient : array, shape and dtype of `logits`

    Raises
    ------
    TypeError
        If the loss makes nothing of its logits, or makes it with a function that has no derivative here, or they are
        not a NumPy array of float64 or narrower.
    ValueError
        As the loss does.

    Notes
    -----
    The loss is called with an array that remembers what was computed from it. In functions of your own write
    arithmetic, indexing and the functions of NumPy or of ``logits.__array_namespace__()``; the message for one that
    has no derivative lists those that have. Comparisons are plain arrays, ``crossentropy._backends.constant`` makes a
    constant of a value, and so is the gradient that a nested call returns.

    The value of one call of `crossentropy.softmax_cross_entropy` or `crossentropy.sigmoid_cross_entropy` takes its
    gradient from the kernels, in one pass.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, np.zeros((1, 2)), np.asarray([0]))
    >>> float(value), gradient
    (0.6931471805599453, array([[-0.5,  0.5]]))
    >>> focal = lambda z, y, gamma: ce.softmax_cross_entropy(z, y, link=ce.links.Focal(gamma))
    >>> ce.loss_and_gradient(focal, np.zeros((1, 2)), np.asarray([0]), 0.0)[1]
    array([[-0.5,  0.5]])
    >>> both = lambda z, y: ce.softmax_cross_entropy(z, y) + 0.1 * ce.losses.brier_loss(z, y)
    >>> ce.loss_and_gradient(both, np.zeros((1, 2)), np.asarray([0]))[1]
    array([[-0.55,  0.55]])
    """
    logits = as_array(logits, "logits")
    if not (is_numpy(logits) or is_taped(logits)):
        raise TypeError(
            f"logits are a {type(logits).__module__}.{type(logits).__name__}; loss_and_gradient is for NumPy arrays. "
            "PyTorch and JAX differentiate the loss themselves"
        )
    if logits.dtype.itemsize > 8:
        raise TypeError(f"logits have dtype {logits.dtype}; gradients are for float64 and narrower")
    at = constant(logits)[...]  # a scalar as an array
    root = Taped(at, ((logits, lambda g: g),) if is_taped(logits) else ())
    value = loss(root, *arguments, **options)
    gradient = gradient_of(value, root) if is_taped(value) else None
    if gradient is None:
        raise TypeError(
            f"{getattr(loss, '__name__', repr(loss))} has no gradient: what it returns, a "
            f"{type(value).__module__}.{type(value).__name__}, was not computed from these logits"
        )
    return value if is_taped(logits) else value.value, gradient
