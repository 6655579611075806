"""What the rounding of a sum and of a product loses, as a number that can be added elsewhere (Dekker 1971).

The steps round as IEEE 754 says, which every library does here. Their derivatives are those of the exact numbers.
"""

from typing import Any

from crossentropy._backends import Array, namespace

HALVES = {"float64": 2.0**27 + 1, "float32": 2.0**12 + 1}  # the factors that split a number in two halves


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """``a − b`` rounded, and what the rounding lost."""
    rounded = a - b
    shift = rounded - a
    return rounded, (a - (rounded - shift)) - (b + shift)


def times(a: Array, b: Any) -> tuple[Array, Array]:
    """``a b`` rounded, and what the rounding lost; `b` may be a Python number.

    It becomes an array then: `torch.jit.trace` takes the halves of a number and the number itself for equal.
    """
    if not hasattr(b, "dtype"):
        b = namespace(a).full_like(a, b)
    factor = HALVES[str(a.dtype).rpartition(".")[2]]
    rounded = a * b
    (large_a, small_a), (large_b, small_b) = _halves(a, factor), _halves(b, factor)
    lost = ((large_a * large_b - rounded) + large_a * small_b + small_a * large_b) + small_a * small_b
    return rounded, lost


def _halves(a: Any, factor: float) -> tuple[Any, Any]:
    spread = factor * a
    large = spread - (spread - a)
    return large, a - large
