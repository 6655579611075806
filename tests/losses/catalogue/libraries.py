"""The array libraries that every case is computed in: arrays in, NumPy float64 out, and derivatives."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
        return self.values(case, [extra], changed)[0]

    def values(
        self, case: Case, extras: Sequence[Mapping[str, Any]], changed: Mapping[str, Any] | None = None
    ) -> list[np.ndarray]:
        """The loss with each of several sets of further options."""
        with self():
            calls = [self.arguments(case, changed or {}, extra) for extra in extras]
            if self._compiles(case):
                values = self._compiled_values(case, calls)
            else:
                values = [case.function(ce.losses)(*inputs, **rest) for inputs, rest in calls]
            for (inputs, _), value in zip(calls, values, strict=True):
                assert str(value.dtype).endswith(self.dtype)
                assert isinstance(value, (type(inputs[0]), np.generic))
            return [self.numpy(value) for value in values]

    def slopes(
        self, case: Case, cotangent: Any = None, changed: Mapping[str, Any] | None = None, **extra: Any
    ) -> dict[str, np.ndarray]:
        """Of every differentiable argument: Σ cotangent · loss differentiated by it."""
        names = [*case.inputs, *case.parameters]
        with self():
            inputs, rest = self.arguments(case, changed or {}, extra)
            at = [*inputs, *(rest[name] for name in case.parameters)]
            if cotangent is None:
                cotangent = np.ones(case.losses().shape if extra.get("reduction") == "none" else ())
            weights = self.array(np.asarray(cotangent))
            if self._compiles(case):
                slopes = self._compiled_slopes(case, at, weights, rest)
            else:
                slopes = self._slopes(partial(total, case, weights, rest), at)
            return {name: self.numpy(slope) for name, slope in zip(names, slopes, strict=True)}

    def _slopes(self, function: Callable[..., Any], at: list[Any]) -> Sequence[Any]:
        if self.name == "numpy":
            return [
                ce.loss_and_gradient(lambda x, k=k: function(*at[:k], x, *at[k + 1 :]), at[k])[1]
                for k in range(len(at))
            ]
        if self.name == "torch":
            at = [x.requires_grad_() for x in at]
            return self.xp.autograd.grad(function(*at), at)
        return importlib.import_module("jax").grad(function, argnums=tuple(range(len(at))))(*at)

    # JAX compiles each operation for each shape, or a function as a whole, which takes a fraction of the time. A
    # function is compiled once for whatever its arrays hold.

    def _compiles(self, case: Case) -> bool:
        return self.name == "jax" and case.make is None

    def _compiled_values(self, case: Case, calls: list[tuple[list[Any], dict[str, Any]]]) -> Sequence[Any]:
        arrays, fixed = zip(*(self._parted(rest) for _, rest in calls), strict=True)

        def values(inputs: Any, arrays: Any) -> list[Any]:
            function = case.function(ce.losses)
            return [function(*x, **more, **rest) for x, more, rest in zip(inputs, arrays, fixed, strict=True)]

        return compiled("values", case.name, repr(fixed), values)([inputs for inputs, _ in calls], arrays)

    def _compiled_slopes(
        self, case: Case, at: list[Any], weights: Any, rest: dict[str, Any]
    ) -> Sequence[Any]:
        arrays, fixed = self._parted(rest)

        def slopes(at: Any, weights: Any, arrays: Any) -> Sequence[Any]:
            return self._slopes(partial(total, case, weights, arrays | fixed), at)

        return compiled("slopes", case.name, repr(fixed), slopes)(at, weights, arrays)

    def _parted(self, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arrays among the options, and the others."""
        arrays = {name: value for name, value in options.items() if isinstance(value, self.xp.ndarray)}
        return arrays, {name: value for name, value in options.items() if name not in arrays}


def total(case: Case, weights: Any, rest: dict[str, Any], *at: Any) -> Any:
    """The sum of a case's losses, each with its weight, as a function of its differentiable arguments."""
    named = dict(zip(case.parameters, at[len(case.inputs) :], strict=True))
    loss = case.function(ce.losses)(*at[: len(case.inputs)], **(rest | named))
    return (weights * loss).sum()


FUNCTIONS: dict[tuple[str, ...], Any] = {}


def compiled(kind: str, case: str, options: str, function: Callable[..., Any]) -> Any:
    """`function` compiled, or that of these names which was compiled before."""
    key = kind, case, options
    if key not in FUNCTIONS:
        FUNCTIONS[key] = importlib.import_module("jax").jit(function)
    return FUNCTIONS[key]
