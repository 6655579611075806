"""What the kernels need to know of an array, for each framework whose arrays lie in the CPU's memory."""

import os
from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from crossentropy._arguments.foreign import is_bfloat16
from crossentropy._backends import Array
from crossentropy._kernels import _native

# Codes of the dtypes, as native/rows/problem.hpp numbers them; bfloat16, which NumPy does not know, is 2.
CODES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.float16): 3}


LARGE = (
    2 << 20
)  # bytes from which on an array lies in memory that is kept for the next (native/common/memory.hpp)


class Memory(Protocol):
    """Addresses, strides in elements, and arrays not yet written.

    `planes` are n float64 arrays in one piece. Those and `empty_like` are for large results.
    """

    @staticmethod
    def code(x: Array) -> int: ...
    @staticmethod
    def address(x: Array) -> int: ...
    @staticmethod
    def strides(x: Array) -> tuple[int, ...]: ...
    @staticmethod
    def contiguous(x: Array, dtype: str | None = None) -> Array: ...
    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Array: ...
    @staticmethod
    def planes(n: int, shape: tuple[int, ...]) -> Sequence[Array]: ...
    @staticmethod
    def empty_like(x: Array, dtype: str | None = None) -> Array: ...
    @staticmethod
    def scalar(value: float, dtype: str) -> Array: ...
    @staticmethod
    def threads() -> int: ...


def is_for_kernels(x: Array) -> bool:
    """Whether kernels read the elements of a NumPy array: of floating types all but long double."""
    return x.dtype in CODES or is_bfloat16(x.dtype)


class NumpyMemory:
    """NumPy arrays, read-only ones too."""

    @staticmethod
    def code(x: Array) -> int:
        return CODES.get(x.dtype, 2)

    @staticmethod
    def address(x: Array) -> int:
        return int(x.__array_interface__["data"][0])

    @staticmethod
    def strides(x: Array) -> tuple[int, ...]:
        return tuple(s // x.itemsize for s in x.strides)

    @staticmethod
    def contiguous(x: Array, dtype: str | None = None) -> Array:
        return np.asarray(x, dtype=dtype, order="C")  # of no axes too

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Array:
        return np.empty(shape, dtype)

    @staticmethod
    def planes(n: int, shape: tuple[int, ...]) -> Sequence[Array]:
        stacked = _large((n, *shape), np.dtype(np.float64))
        return [stacked[i, ...] for i in range(n)]

    @staticmethod
    def empty_like(x: Array, dtype: str | None = None) -> Array:
        wanted = np.dtype(dtype or x.dtype)
        if x.size * wanted.itemsize < LARGE or not x.flags.c_contiguous:
            return np.empty_like(x, wanted, subok=False)
        return _large(x.shape, wanted)

    @staticmethod
    def scalar(value: float, dtype: str) -> Array:
        return np.dtype(dtype).type(value)

    @staticmethod
    def threads() -> int:
        return _THREADS


def _large(shape: tuple[int, ...], dtype: Any) -> Array:
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE:
        return np.empty(shape, dtype)
    return np.frombuffer(_native.take_memory(nbytes), dtype).reshape(shape)


def _thread_count() -> int:
    """``OMP_NUM_THREADS``, else the processors this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_THREADS = _thread_count()
