"""The array libraries that every case is computed in: arrays in, NumPy float64 out, and derivatives."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import crossentropy as ce
from losses.catalogue.case import Case

LIBRARIES = ("numpy", "torch", "jax", "array_api_strict")


class Library:
    """One array library in one precision."""

    def __init__(self, name: str, dtype: str = "float64") -> None:
        self.name, self.dtype = name, dtype
        self.xp = pytest.importorskip("jax.numpy" if name == "jax" else name)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Library]:
        """In JAX float64 is there only when asked for."""
        with contextlib.ExitStack() as stack:
            if self.name == "jax":
                stack.enter_context(importlib.import_module("jax").enable_x64(self.dtype == "float64"))
            yield self

    def array(self, values: Any) -> Any:
        """Arrays, floating ones in this precision; anything else as it is."""
        if not isinstance(values, np.ndarray):
            return values
        if values.dtype.kind == "f":
            values = values.astype(self.dtype)
        if self.name == "torch":
            return self.xp.from_numpy(values.copy())
        return self.xp.asarray(values)

    def numpy(self, values: Any) -> np.ndarray:
        if self.name == "torch":
            values = values.detach()
        return np.asarray(values, dtype=np.float64)

    def arguments(
        self, case: Case, changed: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        inputs = [self.array(changed.get(name, value)) for name, value in case.inputs.items()]
        rest = {**case.parameters, **case.given}
        rest = {name: self.array(changed.get(name, value)) for name, value in rest.items()}
        return inputs, rest | {name: self.array(value) for name, value in extra.items()}

    def value(self, case: Case, changed: Mapping[str, Any] | None = None, **extra: Any) -> np.ndarray:
        """The loss, in the library and the precision of its inputs."""
        with self():
            inputs, rest = self.arguments(case, changed or {}, extra)
            value = case.function(ce.losses)(*inputs, **rest)
            assert str(value.dtype).endswith(self.dtype)
            assert isinstance(value, (type(inputs[0]), np.generic))
            return self.numpy(value)

    def slopes(
        self, case: Case, cotangent: Any = None, changed: Mapping[str, Any] | None = None, **extra: Any
    ) -> dict[str, np.ndarray]:
        """Of every differentiable argument: Σ cotangent · loss differentiated by it."""
        names = [*case.inputs, *case.parameters]
        with self():
            inputs, rest = self.arguments(case, changed or {}, extra)
            at = [*inputs, *(rest[name] for name in case.parameters)]
            if self.name == "numpy":
                return {name: self._numpy_slope(case, at, k, rest, cotangent) for k, name in enumerate(names)}
            function = case.function(ce.losses)
            weights = None if cotangent is None else self.array(np.asarray(cotangent))

            def total(*arrays: Any) -> Any:
                named = dict(zip(case.parameters, arrays[len(inputs) :], strict=True))
                loss = function(*arrays[: len(inputs)], **(rest | named))
                return loss.sum() if weights is None else (weights * loss).sum()

            if self.name == "torch":
                at = [x.requires_grad_() for x in at]
                found = self.xp.autograd.grad(total(*at), at)
            else:
                found = importlib.import_module("jax").grad(total, argnums=tuple(range(len(at))))(*at)
            return {name: self.numpy(slope) for name, slope in zip(names, found, strict=True)}

    def _numpy_slope(
        self, case: Case, at: list[Any], k: int, rest: dict[str, Any], cotangent: Any
    ) -> np.ndarray:
        """By one of the arguments, as `loss_and_gradient` has it."""
        function, inputs = case.function(ce.losses), len(case.inputs)

        def loss(x: Any) -> Any:
            arrays = [*at[:k], x, *at[k + 1 :]]
            value = function(
                *arrays[:inputs], **(rest | dict(zip(case.parameters, arrays[inputs:], strict=True)))
            )
            return value if cotangent is None else self.array(np.asarray(cotangent)) * value

        return self.numpy(ce.loss_and_gradient(loss, at[k])[1])
