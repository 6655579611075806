"""An array of JAX that is known by its shape and dtype, and has no values."""

from typing import Any

import jax


class Unmade(jax.Array):
    """An array that is known by its shape and dtype, and has no values."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._shape, self._dtype = shape, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array."""
        return self._shape

    @property
    def dtype(self) -> Any:
        """That of the array."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self._shape)
