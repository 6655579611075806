"""The rows that own the loss, and how much of it the worst of them own."""

import math
from typing import Any, NamedTuple

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._batch import Batch

__all__ = ["LossHistogram", "WorstRow", "WorstRows"]

Array = np.ndarray[Any, Any]


def _place(row: int | str | None) -> tuple[bool, bool, int | str | None]:
    """Order the names of rows: none, then numbers, then texts."""
    return row is not None, isinstance(row, str), row


class WorstRow(NamedTuple):
    """A row by its share of the loss."""

    #: Weight times loss, infinite for an infinite loss.
    cost: float
    origin: str
    row: int | str | None
    #: The index of the class; −1 for a soft label.
    label: int
    loss: float
    weight: float

    @property
    def rank(self) -> tuple[Any, ...]:
        """The highest cost first; equal ones by name, then by what else there is."""
        return (
            -self.cost,
            self.origin,
            *_place(self.row),
            self.label,
            self.loss,
            self.weight,
        )


class WorstRows:
    """The `size` rows of the highest cost."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.rows: list[WorstRow] = []

    @property
    def least(self) -> float:
        """The cost that a row must have to be among them."""
        if self.size == 0:
            return np.inf
        return self.rows[-1].cost if len(self.rows) == self.size else 0.0

    def add(self, batch: Batch, loss: Array, cost: Array) -> None:
        """Add rows: losses, and losses times weights."""
        if self.size == 0 or len(cost) == 0:
            return
        least = self.least
        places = np.flatnonzero(cost >= least)
        if len(places) > self.size:
            least = float(np.partition(cost[places], -self.size)[-self.size])
            places = places[cost[places] >= least]
        if len(places) > self.size:  # ties: only the first by `WorstRow.rank` can be kept
            above = places[cost[places] > least]
            tied = places[cost[places] == least]
            tied = tied[_ranked(batch, loss, tied)[: self.size]]
            places = np.concatenate([above, tied])
        labels = batch.labels if batch.labels.dtype.kind == "i" else None
        self._keep(
            WorstRow(
                float(cost[i]),
                batch.origin,
                _name(batch.rows, i),
                -1 if labels is None else int(labels[i]),
                float(loss[i]),
                1.0 if batch.weight is None else float(batch.weight[i]),
            )
            for i in places.tolist()
        )

    def merge(self, other: "WorstRows") -> None:
        """Add the rows of another."""
        self._keep(other.rows)

    def _keep(self, more: Any) -> None:
        self.rows = sorted([*self.rows, *more], key=lambda row: row.rank)[: self.size]


def _name(rows: range | Array | None, i: int) -> int | str | None:
    if rows is None:
        return None
    return rows[i] if isinstance(rows[i], str) else int(rows[i])


def _ranked(batch: Batch, loss: Array, places: Array) -> Array:
    """Return the order of rows of one cost by `WorstRow.rank`."""
    keys = [loss[places]] if batch.weight is None else [batch.weight[places], loss[places]]
    if batch.labels.dtype.kind == "i":
        keys.append(batch.labels[places])
    if isinstance(batch.rows, range):
        keys.append(places)
    elif batch.rows is not None:
        names = batch.rows[places].tolist()
        order = {name: i for i, name in enumerate(sorted(set(names), key=_place))}
        keys.append(np.asarray([order[name] for name in names]))
    return np.lexsort(keys)


class LossHistogram:
    """Counts of rows by the cost they add, in bins of 1/64 of a power of two, from 2⁻³² to 2³²."""

    STEPS, LOW, HIGH = 64, -32, 32
    #: The bits of the steps and the lowest power, as the kernels take them.
    PLACES = (6, LOW)

    def __init__(self) -> None:
        self.counts = np.zeros(self.STEPS * (self.HIGH - self.LOW), np.int64)

    def add(self, cost: Array) -> None:
        """Add finite costs; contiguous."""
        _native.octave_counts(
            NumpyMemory.address(cost),
            len(cost),
            *self.PLACES,
            len(self.counts),
            NumpyMemory.address(self.counts),
        )

    def share_of_highest(self, fraction: float, total: float) -> float | None:
        """Return the part of all cost that this fraction of the rows has, to about 1 %.

        None if there is none, or if what all rows cost is not to be told from the bins: then weights are so large or so
        small that costs are outside of them.
        """
        steps = np.arange(len(self.counts))
        middle = 2.0 ** (steps // self.STEPS + self.LOW) * (1 + (steps % self.STEPS + 0.5) / self.STEPS)
        middle[0] = 0.0
        cost, rows = self.counts * middle, float(self.counts.sum())
        if not total > 0 or not math.isclose(cost.sum(), total, rel_tol=1e-2):
            return None
        left = np.cumsum(self.counts[::-1])
        taken = np.clip(fraction * rows - (left - self.counts[::-1]), 0, self.counts[::-1])
        return float((taken * middle[::-1]).sum() / cost.sum())
