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


NUMPY, TORCH = NumPy(), Torch()
FRAMEWORKS = [NUMPY, TORCH]
each_framework = pytest.mark.parametrize("fw", FRAMEWORKS, ids=repr)
each_dtype = pytest.mark.parametrize(
    ("fw", "dtype"), [(fw, dtype) for fw in FRAMEWORKS for dtype in fw.dtypes], ids=str
)


def loss_dtype(dtype: str) -> str:
    """What a loss of logits of this dtype is given in: never narrower than float32."""
    return "float64" if dtype == "float64" else "float32"
