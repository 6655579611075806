"""The same test for every framework: arrays in, NumPy float64 out, values and gradients alike.

Arrays are written in NumPy; each framework turns labels, targets and option arrays into its own. An array
that is already the framework's own passes through untouched, layout and all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import crossentropy as ce


class NumPy:
    """NumPy: `ce.loss_and_gradient`."""

    name = "numpy"
    dtypes = ("float64", "float32", "float16")

    def __repr__(self) -> str:
        return self.name

    def array(self, values: Any, dtype: str | None = None) -> Any:
        return np.asarray(values, dtype=dtype)

    def numpy(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=np.float64)

    def dtype(self, values: Any) -> str:
        return str(values.dtype)

    def own(self, value: Any) -> Any:
        return value

    def target(self, form: str, *arrays: Any, **options: Any) -> Any:
        """Labels by form: "indices", or the name of a class of `ce.targets`."""
        arrays = tuple(self.own(a) for a in arrays)
        return arrays[0] if form == "indices" else getattr(ce.targets, form)(*arrays, **options)

    def loss(self, logits: Any, labels: Any, **options: Any) -> np.ndarray:
        return self.numpy(ce.softmax_cross_entropy(self.own(logits), self.own(labels), **self._own(options)))

    def loss_and_gradient(self, logits: Any, labels: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        """The value, and the gradient of its sum."""
        value, gradient = ce.loss_and_gradient(
            ce.softmax_cross_entropy, self.own(logits), self.own(labels), **self._own(options)
        )
        return self.numpy(value), self.numpy(gradient)

    def statistics(self, logits: Any, labels: Any, **options: Any) -> Any:
        return ce.target_statistics(self.own(logits), self.own(labels), **self._own(options))

    def _own(self, options: dict) -> dict:
        return {name: self.own(value) for name, value in options.items()}


class Torch(NumPy):
    """PyTorch: `backward`."""

    name = "torch"
    dtypes = ("float64", "float32", "bfloat16", "float16")

    @property
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    def array(self, values: Any, dtype: str | None = None) -> Any:
        tensor = self.torch.tensor(np.array(values))
        return tensor if dtype is None else tensor.to(getattr(self.torch, dtype))

    def numpy(self, values: Any) -> np.ndarray:
        return values.detach().to(self.torch.float64).numpy()

    def dtype(self, values: Any) -> str:
        return str(values.dtype).removeprefix("torch.")

    def own(self, value: Any) -> Any:
        return self.torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    def loss_and_gradient(self, logits: Any, labels: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        logits = self.own(logits).detach().requires_grad_()
        value = ce.softmax_cross_entropy(logits, self.own(labels), **self._own(options))
        (gradient,) = self.torch.autograd.grad(value, logits, self.torch.ones_like(value))
        assert gradient.dtype == logits.dtype
        assert gradient.shape == logits.shape
        return self.numpy(value), self.numpy(gradient)


class Strict(NumPy):
    """array_api_strict: what no library promises beyond the array API fails here."""

    name = "array_api_strict"
    dtypes = ("float64", "float32")

    @property
    def xp(self) -> Any:
        return pytest.importorskip("array_api_strict")

    def array(self, values: Any, dtype: str | None = None) -> Any:
        return self.xp.asarray(np.asarray(values, dtype=dtype))

    def numpy(self, values: Any) -> np.ndarray:
        return np.asarray(self.xp.astype(values, self.xp.float64))

    def dtype(self, values: Any) -> str:
        return str(values.dtype).rpartition(".")[2]

    def own(self, value: Any) -> Any:
        return self.xp.asarray(value) if isinstance(value, np.ndarray) else value

    def loss_and_gradient(self, logits: Any, labels: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        pytest.skip("array_api_strict differentiates nothing")


class JAX(NumPy):
    """JAX with 64-bit types: `jax.vjp`, run operation by operation or, with `jit`, compiled."""

    name = "jax"
    dtypes = ("float64", "float32", "bfloat16", "float16")

    def __init__(self, jit: bool = False) -> None:
        self.jit = jit

    def __repr__(self) -> str:
        return "jax.jit" if self.jit else "jax"

    @property
    def jax(self) -> Any:
        return pytest.importorskip("jax")

    def wide(self) -> Any:
        """The context in which JAX keeps 64-bit types."""
        owner = self.jax if hasattr(self.jax, "enable_x64") else self.jax.experimental
        return owner.enable_x64(True)

    def array(self, values: Any, dtype: str | None = None) -> Any:
        with self.wide():
            return self.jax.numpy.asarray(np.asarray(values), dtype=dtype)

    def dtype(self, values: Any) -> str:
        return str(values.dtype)

    def own(self, value: Any) -> Any:
        return self.array(value) if isinstance(value, np.ndarray) else value

    def loss(self, logits: Any, labels: Any, **options: Any) -> np.ndarray:
        with self.wide():
            return self.numpy(self._compiled(labels, options)(self.own(logits)))

    def loss_and_gradient(self, logits: Any, labels: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        with self.wide():
            logits = self.own(logits)
            value, pull = self.jax.vjp(self._compiled(labels, options), logits)
            (gradient,) = pull(self.jax.numpy.ones_like(value))
            assert gradient.dtype == logits.dtype
            return self.numpy(value), self.numpy(gradient)

    def statistics(self, logits: Any, labels: Any, **options: Any) -> Any:
        with self.wide():
            return super().statistics(logits, labels, **options)

    def _compiled(self, labels: Any, options: dict) -> Any:
        labels, options = self.own(labels), self._own(options)
        loss = lambda logits: ce.softmax_cross_entropy(logits, labels, **options)  # noqa: E731
        return self.jax.jit(loss) if self.jit else loss


NUMPY, TORCH = NumPy(), Torch()
FRAMEWORKS = [NUMPY, TORCH]
each_framework = pytest.mark.parametrize("fw", FRAMEWORKS, ids=repr)
each_dtype = pytest.mark.parametrize(
    ("fw", "dtype"), [(fw, dtype) for fw in FRAMEWORKS for dtype in fw.dtypes], ids=str
)


def loss_dtype(dtype: str) -> str:
    """What a loss of logits of this dtype is given in: never narrower than float32."""
    return "float64" if dtype == "float64" else "float32"
