"""Losses with their gradients where there is no automatic differentiation: NumPy."""

from collections.abc import Callable
from typing import Any

from crossentropy.backends import is_numpy
from crossentropy.losses._softmax_eager import evaluate, gradient
from crossentropy.losses._softmax_problem import make_problem
from crossentropy.losses.sigmoid import sigmoid_cross_entropy, sigmoid_loss_and_gradient
from crossentropy.losses.softmax import rounded, softmax_cross_entropy
from crossentropy.statistics.memory import CODES, NumpyMemory

__all__ = ["loss_and_gradient"]

Array = Any


def loss_and_gradient(
    loss: Callable[..., Array], logits: Array, labels: Any, **options: Any
) -> tuple[Array, Array]:
    """A loss of NumPy arrays and its gradient by the logits.

    Parameters
    ----------
    loss : function
        `crossentropy.softmax_cross_entropy` or `crossentropy.sigmoid_cross_entropy`.
    logits : array, floating
    labels : array
    **options
        The loss's own. With ``reduction="none"`` the gradient is that of the losses' sum.

    Returns
    -------
    value : array
        What ``loss(logits, labels, **options)`` returns.
    gradient : array, shape and dtype of `logits`

    Raises
    ------
    TypeError
        If the loss has no gradient here, or the logits are not a NumPy array.
    ValueError
        As the loss does.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, np.zeros((1, 2)), np.asarray([0]))
    >>> float(value), gradient
    (0.6931471805599453, array([[-0.5,  0.5]]))
    """
    if not is_numpy(logits):
        raise TypeError(
            f"logits are a {type(logits).__module__}.{type(logits).__name__}; loss_and_gradient is for NumPy arrays. "
            "PyTorch and JAX differentiate the loss themselves"
        )
    if loss is sigmoid_cross_entropy:
        return sigmoid_loss_and_gradient(logits, labels, **options)
    if loss is not softmax_cross_entropy:
        raise TypeError(
            f"{getattr(loss, '__name__', loss)!r} has no gradient in NumPy; pass softmax_cross_entropy or "
            "sigmoid_cross_entropy, or differentiate it in PyTorch or JAX"
        )
    problem = make_problem(logits, labels, **options)
    if problem.logits.dtype.name not in CODES:
        raise TypeError(f"logits have dtype {problem.logits.dtype}; gradients are for float64 and narrower")
    found = evaluate(problem, NumpyMemory)
    return rounded(found.value, problem.logits), gradient(problem, found, 1.0, NumpyMemory)
