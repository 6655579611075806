"""A JAX array with a shape and a dtype, but no values."""

from typing import Any

import jax


class Unmade(jax.Array):
    """An array with a shape and a dtype, but no values."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._shape, self._dtype = shape, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self._shape

    @property
    def dtype(self) -> Any:
        """The dtype of the array."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)
