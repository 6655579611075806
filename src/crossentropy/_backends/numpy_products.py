"""Products of NumPy's matrices, which read nothing that lies within an operand and is not of it."""

import numpy as np

from crossentropy._backends.types import Array

__all__ = ["matmul", "without_gaps"]


def matmul(x: Array, y: Array) -> Array:
    """``x y`` of two matrices, or of as many on either side.

    Examples
    --------
    >>> matmul(np.ones((2, 5))[:, ::2], np.eye(3))
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    return np.matmul(without_gaps(x), without_gaps(y))


def without_gaps(x: Array) -> Array:
    """`x`, copied where memory that is not of it lies within it.

    Examples
    --------
    >>> without_gaps(np.ones((2, 5))[:, ::2]).strides
    (24, 8)
    """
    return x if x.flags.forc else np.ascontiguousarray(x)
