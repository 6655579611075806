"""The rows of a table: inputs, labels and weights, their split and their repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Rows", "merge_repeated", "stratified_share"]


@dataclass(frozen=True)
class Rows:
    """Rows to train or to measure on.

    Attributes
    ----------
    inputs : Tensor (rows, features), float32
    labels : Tensor (rows,), int64
    sample_weight : Tensor (rows,), float32, optional
        The weights of the rows in the log loss and the accuracy.
    loss_weight : Tensor (rows,), float32, optional
        The weights of the rows in the objective, which are those times the weight of the row's class.
    """

    inputs: Tensor
    labels: Tensor
    sample_weight: Tensor | None = None
    loss_weight: Tensor | None = None

    @classmethod
    def of(
        cls,
        inputs: np.ndarray,
        labels: np.ndarray,
        sample_weight: np.ndarray | None,
        class_weight: np.ndarray | None,
        device: torch.device,
    ) -> Rows:
        """Move arrays to a device."""
        loss_weight = sample_weight
        if class_weight is not None:
            loss_weight = class_weight[labels] * (1.0 if sample_weight is None else sample_weight)

        def weights(values: np.ndarray | None) -> Tensor | None:
            return None if values is None else torch.from_numpy(np.float32(values)).to(device)

        return cls(
            torch.from_numpy(np.require(inputs, requirements="W")).to(device),
            torch.from_numpy(labels).to(device),
            weights(sample_weight),
            weights(loss_weight),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Rows:
        """Return the rows with these numbers, in their order."""
        rows = rows.to(self.labels.device)
        return self._each(lambda values: values[rows])

    def split(self, size: int) -> Iterator[Rows]:
        """Cut into parts of at most `size` rows, without a copy."""
        for start in range(0, len(self), size):
            yield self._each(lambda values: values[start : start + size])  # noqa: B023  # called at once

    def _each(self, part: Callable[[Tensor], Tensor]) -> Rows:
        """Apply a function to each tensor."""
        weights = (None if w is None else part(w) for w in (self.sample_weight, self.loss_weight))
        return Rows(part(self.inputs), part(self.labels), *weights)


def stratified_share(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw a share of each class, rounded to whole rows; at least one row of each class is left.

    Returns
    -------
    numpy.ndarray of bool (rows,)
        The rows that were drawn.
    """
    counts = np.bincount(labels)
    shuffled = np.random.default_rng([seed, 0]).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    quota = np.minimum(np.rint(share * counts), counts - 1)
    drawn = np.empty(len(labels), dtype=bool)
    drawn[by_class] = rank < np.repeat(quota, counts)
    return drawn


def merge_repeated(
    inputs: np.ndarray, labels: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Merge rows of the same inputs and label into one, of the sum of their weights.

    The rows that are left are in an order that does not depend on the one they came in. So a table gives the same
    batch, to the bit, whether a row is repeated or has a weight.
    """
    table = np.column_stack([labels, inputs])
    _, first, place = np.unique(table, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(place.reshape(-1), weights=weight)
    return inputs[first], labels[first], None if (total == 1).all() else total.astype(np.float64)
