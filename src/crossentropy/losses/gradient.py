"""Losses with their gradients where there is no automatic differentiation: NumPy."""

from collections.abc import Callable
from typing import Any

from crossentropy.backends import as_array, is_numpy
from crossentropy.losses._recorder import recorded

__all__ = ["loss_and_gradient"]

Array = Any


def loss_and_gradient(
    loss: Callable[..., Array], logits: Array, labels: Any, *arguments: Any, **options: Any
) -> tuple[Array, Array]:
    """A loss of NumPy arrays and its gradient by the logits.

    The loss may be any that returns, untouched, what one call of `crossentropy.softmax_cross_entropy` or
    `crossentropy.sigmoid_cross_entropy` on these very logits returned: these two, the named losses that compose them
    so, and functions of your own. The gradient is that of this call, and what else the loss computes from the logits
    (a weight, a target) counts as fixed.

    Parameters
    ----------
    loss : function
        Called as ``loss(logits, labels, *arguments, **options)``.
    logits : array or list, floating
    labels : array, or one of `crossentropy.targets`
    *arguments, **options
        The loss's own. With ``reduction="none"`` the gradient is that of the losses' sum.

    Returns
    -------
    value : array
        What the loss returned.
    gradient : array, shape and dtype of `logits`

    Raises
    ------
    TypeError
        If the loss makes something else of its logits, or they are not a NumPy array of float64 or narrower.
    ValueError
        As the loss does.

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
    """
    logits = as_array(logits, "logits")
    if not is_numpy(logits):
        raise TypeError(
            f"logits are a {type(logits).__module__}.{type(logits).__name__}; loss_and_gradient is for NumPy arrays. "
            "PyTorch and JAX differentiate the loss themselves"
        )
    with recorded() as calls:
        value = loss(logits, labels, *arguments, **options)
    for call in calls:
        if call.value is value and call.logits is logits:
            return value, call.gradient()
    if logits.dtype.itemsize > 8:
        raise TypeError(f"logits have dtype {logits.dtype}; gradients are for float64 and narrower")
    raise TypeError(
        f"{getattr(loss, '__name__', repr(loss))} has no gradient in NumPy: what it returns is not the value of one "
        "call of softmax_cross_entropy or sigmoid_cross_entropy on these logits. PyTorch and JAX differentiate it: "
        "pass their arrays"
    )
