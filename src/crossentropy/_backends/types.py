"""The annotation of arrays of any library, and infinity as a Python number."""

from typing import Any

__all__ = ["INF", "PYTHON_VALUES", "Array"]

Array = Any
INF = float("inf")
PYTHON_VALUES = (bool, int, float, complex, list, tuple, range, type(None))
