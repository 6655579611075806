"""Units in the last place of the floating formats, and errors that see below them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from oracle import INF, mpf

FORMATS = {"float64": (53, -1022), "float32": (24, -126), "float16": (11, -14), "bfloat16": (8, -126)}


def unit(values: Any, dtype: str) -> np.ndarray:
    """The distance between neighboring numbers of a floating format at each value."""
    digits, smallest = FORMATS[dtype]
    _, exponent = np.frexp(np.abs(np.asarray(values, dtype=np.float64)))
    exponent = np.where(np.asarray(values) == 0, smallest, exponent - 1)
    return np.ldexp(1.0, np.maximum(exponent, smallest) - (digits - 1))


def allowed(ulps: Any, truth: Any, dtype: str) -> np.ndarray:
    """So many ulp at a truth; under the normal numbers as large a part of it, but at least one unit."""
    digits, smallest = FORMATS[dtype]
    ulps = np.minimum(ulps, 2.0**digits)
    part = np.maximum(ulps * 2.0 ** (1 - digits) * np.abs(truth), unit(0.0, dtype))
    return np.where(np.abs(truth) < np.ldexp(1.0, smallest), part, ulps * unit(truth, dtype))


def errors(got: Any, truth: Any) -> np.ndarray:
    """got − truth with no rounding that matters, for truths in mpf."""
    high, low = split([truth] if isinstance(truth, mpf) else truth)
    return difference(got, high, low)


def split(truths: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as a float64 and what it leaves over."""
    pairs = [(float(t), float(t - float(t)) if abs(t) < INF else 0.0) for t in truths]
    high, low = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return high, low


def difference(got: Any, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """got − (high + low)."""
    got = np.ravel(np.asarray(got, dtype=np.float64))
    return np.where(got == high, 0.0, got - high) - low
