"""Catalogue cases as functions of tensors alone, at any number of rows, and the programs PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import crossentropy as ce
from losses.catalogue.case import Case


class Loss(torch.nn.Module):
    """One case: its arrays are the arguments of `forward`, by position; what is no array is fixed."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        values = {**case.inputs, **case.parameters, **case.given}
        self.arrays = {name: x for name, x in values.items() if isinstance(x, np.ndarray)}
        self.fixed = {name: x for name, x in values.items() if name not in self.arrays}
        self.rows = next(iter(case.inputs.values())).shape[0]

    def has_rows(self, name: str) -> bool:
        """Whether the first axis of an argument counts the rows of the batch."""
        return self.arrays[name].shape[:1] == (self.rows,)

    def arguments(self, rows: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
        """A batch of so many rows: those of the case, over and over, no two of floating numbers alike."""
        return tuple(self._argument(name, rows, dtype) for name in self.arrays)

    def _argument(self, name: str, rows: int, dtype: torch.dtype) -> torch.Tensor:
        x = self.arrays[name]
        if self.has_rows(name):
            x = x[np.arange(rows) % self.rows]
        x = torch.from_numpy(np.array(x))
        return x.to(dtype) if x.is_floating_point() else x

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        given = dict(zip(self.arrays, arguments, strict=True))
        inputs = [given.pop(name) for name in self.case.inputs]
        return self.case.function(ce.losses)(*inputs, **given, **self.fixed)

    def learning(self, arguments: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """The arguments that have a gradient."""
        named = dict(zip(self.arrays, arguments, strict=True))
        return [named[name] for name in self.case.differentiable]
