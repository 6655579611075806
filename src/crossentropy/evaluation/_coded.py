"""A column with each of its distinct values once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Coded"]

Array = np.ndarray[Any, Any]


class Coded:
    """A column whose row i is ``values[codes[i]]``, as Arrow's dictionaries are.

    Parameters
    ----------
    codes : integer array (n,)
        −1 is a null.
    values : sequence
        Those that no row has are left out.
    """

    def __init__(self, codes: Array, values: Sequence[Any]) -> None:
        if codes.min(initial=0) < 0:
            codes, values = np.where(codes < 0, len(values), codes), [*values, None]
        used = np.flatnonzero(np.bincount(codes, minlength=len(values)))
        if len(used) < len(values):
            places = np.zeros(len(values), np.int64)
            places[used] = np.arange(len(used))
            codes, values = places[codes], [values[i] for i in used.tolist()]
        self.codes, self.values = codes, values

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> Any:
        return self.values[int(self.codes[row])]
