"""Matrix products for any array library, on operands without foreign memory between their rows.

A library may read past the end of a row and multiply what it finds there by 0, and 0 · NaN is NaN.
"""

from crossentropy._backends import Array, is_numpy, is_torch, namespace
from crossentropy._backends.numpy_products import matmul


def product(x: Array, y: Array) -> Array:
    """Multiply two matrices, or two stacks of equally many matrices."""
    if is_torch(x):
        from crossentropy._statistics.head import products

        return products.product(x, y)
    if is_numpy(x) and is_numpy(y):
        return matmul(x, y)
    return namespace(x, y).matmul(x, y)
