"""The annotation of arrays of any library, and infinity as a Python number."""

from typing import Any

__all__ = ["INF", "Array"]

Array = Any
INF = float("inf")
