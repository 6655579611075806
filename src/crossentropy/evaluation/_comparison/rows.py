"""The rows of a model with their losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np

from crossentropy.evaluation._batch import Batch, SliceColumn
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._scoring import Request, Scoring
from crossentropy.evaluation._values import are_texts
from crossentropy.evaluation.state import State

__all__ = ["KeepingLosses", "ScoredRows", "as_texts", "rows_kept"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Rows with their losses, each an array (n,)."""

    #: int64, or object array of texts and integers: what rows are called.
    names: Array
    losses: Array
    labels: Array
    weight: Array | None
    cluster: Array | None
    slices: tuple[SliceColumn, ...]
    #: The file of each row, in the order in which files were read; "" if rows have keys or are from memory.
    origin: SliceColumn
    #: The probability of the second of two classes; None for more.
    probability: Array | None

    def __len__(self) -> int:
        return len(self.losses)

    @cached_property
    def keys(self) -> Array:
        """The hashes of the names; uint64."""
        return hash_values(self.names)

    def in_order(self, places: Array) -> "ScoredRows":
        """Return the rows at these places; clusters and slices are left out."""

        def of(x: Array | None) -> Any:
            return None if x is None else x[places]

        return replace(
            self,
            names=of(self.names),
            losses=of(self.losses),
            labels=of(self.labels),
            weight=of(self.weight),
            cluster=None,
            slices=(),
            origin=SliceColumn(self.origin.codes[places], self.origin.names),
            probability=of(self.probability),
        )


class KeepingLosses(Scoring):
    """Scoring that keeps the loss of each row."""

    def __init__(self, request: Request, *, threads: int | None = None, state: State | None = None) -> None:
        super().__init__(request, threads=threads, state=state)
        self.kept: list[tuple[int, ScoredRows]] = []

    def take(self, batch: Batch) -> None:
        assert self.state is not None  # for type checkers
        if batch.weight is not None:
            batch = batch.take(batch.weight != 0)
        losses, probability = np.empty(len(batch)), np.empty(len(batch))
        self.state.update_on(self.threads, batch, (losses, probability))
        names = batch.names()
        assert names is not None  # for type checkers
        rows = ScoredRows(
            names,
            losses,
            batch.labels,
            batch.weight,
            batch.cluster,
            batch.slices,
            SliceColumn(np.zeros(len(batch), np.int32), [batch.origin]),
            probability if self.state.declaration.is_binary else None,
        )
        self.kept.append((self.piece, rows))


def rows_kept(scorings: Sequence[KeepingLosses]) -> ScoredRows:
    """Return all rows that were kept on several threads, in their order."""

    def joined(arrays: list[Any]) -> Any:
        return None if arrays[0] is None else np.concatenate(arrays)

    kept = sorted((part for scoring in scorings for part in scoring.kept), key=itemgetter(0))
    parts = [rows for _, rows in kept]
    names = [part.names for part in parts]
    if len({x.dtype for x in names}) > 1:
        names = [as_texts(x) for x in names]
    return ScoredRows(
        joined(names),
        joined([part.losses for part in parts]),
        joined([part.labels for part in parts]),
        joined([part.weight for part in parts]),
        joined([part.cluster for part in parts]),
        tuple(_joined_slices([p.slices[i] for p in parts]) for i in range(len(parts[0].slices))),
        _joined_slices([part.origin for part in parts]),
        joined([part.probability for part in parts]),
    )


def as_texts(names: Array) -> Array:
    """Return the names of rows as texts."""
    return names if are_texts(names) else names.astype(str).astype(object)


def _joined_slices(columns: list[SliceColumn]) -> SliceColumn:
    names = list(dict.fromkeys(name for column in columns for name in column.names))
    places = {name: i for i, name in enumerate(names)}
    codes = [
        np.asarray([places[name] for name in column.names], np.int32)[column.codes] for column in columns
    ]
    return SliceColumn(np.concatenate(codes), names)
