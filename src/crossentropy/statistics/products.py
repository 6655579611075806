"""Products of matrices of any library, which are given nothing that lies within an operand and is not of it.

A library may read past the end of a row and multiply what it finds there by 0: 0 · NaN is NaN.
"""

from typing import Any

from crossentropy._numpy_products import matmul
from crossentropy.backends import is_numpy, is_torch, namespace

Array = Any

# Entries of which the rows of a left operand have a multiple, zeros behind them included, where that costs no copy:
# two lines of the cache in half precision, four in float32.
ALIGNED = 64


def product(x: Array, y: Array) -> Array:
    """``x y`` of two matrices, or of as many on either side."""
    if is_torch(x):
        from crossentropy.statistics import _products_torch

        return _products_torch.product(x, y)
    if is_numpy(x) and is_numpy(y):
        return matmul(x, y)
    return namespace(x, y).matmul(x, y)
