"""NumPy, PyTorch and JAX by one handful of words, for functions of arrays that are no options of one loss."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest


class AnyLibrary:
    """Arrays of one library, in float64 unless said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.xp = pytest.importorskip("jax.numpy" if name == "jax" else name)

    def array(self, values: Any, dtype: str | None = None) -> Any:
        values = np.array(values)
        if self.name == "torch":
            tensor = self.xp.from_numpy(values)
            return tensor if dtype is None else tensor.to(getattr(self.xp, dtype))
        return self.xp.asarray(values, dtype=dtype)

    def numpy(self, values: Any) -> np.ndarray:
        values = values.detach().double() if self.name == "torch" else values
        return np.asarray(values, dtype=np.float64)

    def owns(self, values: Any) -> bool:
        kind = {"numpy": (np.ndarray, np.generic), "torch": getattr(self.xp, "Tensor", ())}
        return isinstance(values, kind.get(self.name, ()) or importlib.import_module("jax").Array)

    def gradient(
        self, function: Callable[[Any], Any], at: Any, dtype: str | None = None, *, compiled: bool = True
    ) -> np.ndarray:
        """Of the sum of what the function returns, by the library's own differentiation; JAX may compile it."""
        x = self.array(at, dtype)
        if self.name == "jax":
            jax = importlib.import_module("jax")
            slope = jax.grad(lambda x: function(x).sum())
            return self.numpy((jax.jit(slope) if compiled else slope)(x))
        x.requires_grad_()
        return self.numpy(self.xp.autograd.grad(function(x).sum(), x)[0])


def libraries(*names: str) -> Any:
    """A fixture of these libraries; JAX's arrays are of 64 bits."""

    @pytest.fixture(params=names)
    def lib(request: pytest.FixtureRequest) -> Iterator[AnyLibrary]:
        library = AnyLibrary(request.param)
        if request.param != "jax":
            yield library
            return
        with importlib.import_module("jax").enable_x64(True):
            yield library

    return lib
