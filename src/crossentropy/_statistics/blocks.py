"""Pieces of a length, for work that goes a block at a time."""

# Entries of which the rows of a product's left operand have a multiple, zeros behind them included, where that costs no
# copy: two lines of the cache in half precision, four in float32.
ALIGNED = 64


def slices(n: int, size: int) -> list[slice]:
    """[0, n) in pieces of `size`; an empty one if n is 0.

    Examples
    --------
    >>> slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(i, min(i + size, n)) for i in range(0, max(n, 1), size)]


def up(n: int, step: int) -> int:
    """The next multiple of `step`.

    Examples
    --------
    >>> up(5, 4), up(8, 4)
    (8, 8)
    """
    return -(-n // step) * step
