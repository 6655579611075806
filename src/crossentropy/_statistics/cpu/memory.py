"""Dtype codes, addresses, strides and allocation, as the native kernels need them, for NumPy arrays."""

import os
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np

from crossentropy._arguments.foreign import is_bfloat16
from crossentropy._backends import Array
from crossentropy._kernels import COMPILED, _native


class _Codes(dict[Any, int]):
    """Codes of the dtypes, as native/rows/problem.hpp numbers them; bfloat16, which NumPy does not know, is 2."""

    def __missing__(self, dtype: Any) -> int:
        return 2


CODES = _Codes({np.dtype(np.float32): 0, np.dtype(np.float64): 1, np.dtype(np.float16): 3})


_FLOAT64 = np.dtype(np.float64)
LARGE = 2 << 20  # bytes; results of this size or more reuse memory (native/common/memory.hpp)


class Memory(Protocol):
    """Access to a framework's arrays.

    `codes` are the dtypes' numbers in the native code, `address` is that of the first element, `strides` are in
    elements. `contiguous` converts to a dtype and copies only if needed; `addressed` does so with several arrays, for
    each its own dtype, and returns what is to be kept, with the addresses, 0 for None. `empty`, `stats` (n float64
    arrays in one piece) and `empty_like` allocate without writing; the latter two reuse memory for large results.
    """

    codes: ClassVar[Mapping[Any, int]]
    address: ClassVar[Callable[[Array], int]]
    strides: ClassVar[Callable[[Array], tuple[int, ...]]]
    threads: ClassVar[Callable[[], int]]

    @staticmethod
    def contiguous(x: Array, dtype: str | None = None) -> Array: ...
    @staticmethod
    def addressed(arrays: Sequence[Array | None], dtypes: Sequence[str]) -> tuple[list[Any], list[int]]: ...
    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Array: ...
    @staticmethod
    def empty_stack(n: int, shape: tuple[int, ...]) -> Sequence[Array]: ...
    @staticmethod
    def empty_like(x: Array, dtype: str | None = None) -> Array: ...
    @staticmethod
    def scalar(value: float, dtype: str) -> Array: ...


def is_for_kernels(x: Array) -> bool:
    """Tell whether there are kernels that read a NumPy array's dtype: all floating ones but long double."""
    return COMPILED and (x.dtype in CODES or is_bfloat16(x.dtype))


def _address(x: Array) -> int:
    return _native.address(x)


def _strides(x: Array) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)


class NumpyMemory:
    """`Memory` for NumPy arrays, read-only ones too."""

    codes: ClassVar[Mapping[Any, int]] = CODES

    address: ClassVar[Callable[[Array], int]] = staticmethod(_address)
    strides: ClassVar[Callable[[Array], tuple[int, ...]]] = staticmethod(_strides)
    threads: ClassVar[Callable[[], int]] = staticmethod(lambda: _THREADS)

    @staticmethod
    def contiguous(x: Array, dtype: str | None = None) -> Array:
        return np.asarray(x, dtype=dtype, order="C")  # of no axes too

    @staticmethod
    def addressed(arrays: Sequence[Array | None], dtypes: Sequence[str]) -> tuple[list[Array], list[int]]:
        kept, addresses = [], [0] * len(arrays)
        for i, x in enumerate(arrays):
            if x is not None:
                kept.append(np.asarray(x, dtypes[i], order="C"))
                addresses[i] = _address(kept[-1])
        return kept, addresses

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Array:
        return np.empty(shape, dtype)

    @staticmethod
    def empty_stack(n: int, shape: tuple[int, ...]) -> Sequence[Array]:
        stacked = large_array((n, *shape), _FLOAT64)
        return [stacked[i, ...] for i in range(n)]

    @staticmethod
    def empty_like(x: Array, dtype: str | None = None) -> Array:
        requested = np.dtype(dtype or x.dtype)
        if x.size * requested.itemsize < LARGE or not x.flags.c_contiguous:
            return np.empty_like(x, requested, subok=False)
        return large_array(x.shape, requested)

    @staticmethod
    def scalar(value: float, dtype: str) -> Array:
        return np.dtype(dtype).type(value)


def large_array(shape: tuple[int, ...], dtype: Any = _FLOAT64) -> Array:
    """Allocate an uninitialized array, from reused memory if it is large."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE:
        return np.empty(shape, dtype)
    return np.frombuffer(_native.acquire_memory(nbytes), dtype).reshape(shape)


def _thread_count() -> int:
    """Return ``OMP_NUM_THREADS``, else the number of processors that this process may use."""
    requested = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if requested.isdigit() and int(requested) > 0:
        return int(requested)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_THREADS: int = _thread_count()
