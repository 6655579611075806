"""Splitting a length into blocks, and rounding it up to a multiple."""

# Rows of a product's left operand are padded with zeros to a multiple of this many entries where that costs no copy:
# two cache lines in half precision, four in float32.
ALIGNED = 64


def slices(n: int, size: int) -> list[slice]:
    """Split [0, n) into slices of `size`, the last one shorter; n = 0 gives one empty slice.

    They are counted first: a compiler is then held to their number, and not to `n`.

    >>> slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(i * size, min((i + 1) * size, n)) for i in range(max(round_up(n, size) // size, 1))]


def round_up(n: int, step: int) -> int:
    """Round `n` up to a multiple of `step`.

    >>> round_up(5, 4), round_up(8, 4)
    (8, 8)
    """
    return -(-n // step) * step
