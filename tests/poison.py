"""Memory that is not yet written is NaN (and −1 in integers): with ``pytest -p poison`` whoever reads it shows.

It does so for `torch.empty` and what PyTorch's own operations allocate, for `numpy.empty`, and for the memory that is
kept for large results. `make test-poisoned` fills what C code allocates as well, with the largest numbers there are.
"""

import os
from typing import Any

import numpy as np
import pytest

from crossentropy._kernels import _native

ALL_ONES = 0xFF


def poisoned(make: Any) -> Any:
    """A function that makes arrays, whose arrays are filled."""

    def made(*args: Any, **options: Any) -> Any:
        x = make(*args, **options)
        if isinstance(x, np.ndarray) and x.dtype.itemsize and not x.dtype.hasobject:
            x.fill(np.frombuffer(bytes([ALL_ONES]) * x.dtype.itemsize, x.dtype)[0])
        return x

    return made


def taken(take: Any) -> Any:
    """`_native.acquire_memory`, filled."""

    def made(size: int) -> Any:
        memory = take(size)
        np.frombuffer(memory, np.uint8)[:] = ALL_ONES
        return memory

    return made


def _fill_alone() -> None:
    """In a forked child PyTorch's other threads are gone, and filling a large tensor would wait for them."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fill what is made in a test."""
    for name in ("empty", "empty_like"):
        monkeypatch.setattr(np, name, poisoned(getattr(np, name)))
    monkeypatch.setattr(_native, "acquire_memory", taken(_native.acquire_memory))
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)  # in this mode PyTorch fills memory with NaN
    os.register_at_fork(after_in_child=_fill_alone)
    yield
    torch.use_deterministic_algorithms(before)
