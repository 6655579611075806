"""Sums by cluster, for intervals that do not take the rows of a cluster for independent."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._exact import GroupSums, Term

__all__ = ["ClusterSums"]

Array = np.ndarray[Any, Any]
LIMIT = 1 << 14
BUCKETS = 1 << 12


class ClusterSums:
    """Exact sums for each cluster: weight and weighted loss, or others by their names.

    Of more than 16384 clusters, those whose hashes agree in 12 bits are joined. Joined clusters are independent of each
    other too, so that the standard error stays right, and varies itself by about 1 %.
    """

    def __init__(self, names: Sequence[str] = ("weight", "loss")) -> None:
        self.table: _native.KeyTable | None = _native.KeyTable(LIMIT)
        self.columns = {name: GroupSums(LIMIT) for name in names}

    def add(self, cluster: Array, *terms: Term | None) -> None:
        """Add rows: hashes of their clusters (uint64), and a term for each name; None adds nothing."""
        places = self._find(cluster)
        if places is None:
            self.to_buckets()
            places = _bucket(cluster)
        for sums, term in zip(self.columns.values(), terms, strict=True):
            if term is not None:
                sums.add(term, places)

    def _find(self, keys: Array) -> Array | None:
        """Return the places of keys, or None if there are too many."""
        places = np.empty(len(keys), np.int32)
        if self.table is None:
            return None
        found = self.table.find(NumpyMemory.address(keys), len(keys), NumpyMemory.address(places))
        return places if found else None

    def keys(self) -> Array:
        """The hashes of the clusters, in the order of their places; of buckets, none."""
        return np.asarray([] if self.table is None else self.table.keys(), np.uint64)

    def to_buckets(self) -> None:
        """Join clusters; nothing if they are joined."""
        if self.table is not None:
            self.columns = self._joined()
            self.table = None

    def _joined(self) -> dict[str, GroupSums]:
        if self.table is None:
            return self.columns
        places = _bucket(self.keys())
        joined = {name: GroupSums(BUCKETS) for name in self.columns}
        for name, sums in self.columns.items():
            joined[name].add_from(sums, places)
        return joined

    def merge(self, other: "ClusterSums") -> None:
        """Add the rows of another, which stays as it is."""
        places = self._find(other.keys()) if other.table is not None else None
        columns = other.columns
        if places is None:
            self.to_buckets()
            columns = other._joined()
        for name, sums in self.columns.items():
            sums.add_from(columns[name], places)

    def sums(self) -> tuple[list[int], ...]:
        """Return the sums of each cluster by name, times 2^1074; a cluster whose sums are all 0 is left out."""
        count = None if self.table is None else len(self.keys())
        columns = [sums.scaled(count) for sums in self.columns.values()]
        used = [values for values in zip(*columns, strict=True) if any(values)]
        return tuple([values[i] for values in used] for i in range(len(columns)))


def _bucket(keys: Array) -> Array:
    return (keys & np.uint64(BUCKETS - 1)).astype(np.int32)
