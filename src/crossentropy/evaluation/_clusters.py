"""Sums by cluster, for intervals that do not take the rows of a cluster for independent."""

from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._exact import GroupSums

__all__ = ["ClusterSums"]

Array = np.ndarray[Any, Any]
LIMIT = 1 << 14
BUCKETS = 1 << 12


class ClusterSums:
    """Weight and weighted loss of each cluster.

    Of more than 16384 clusters, those whose hashes agree in 12 bits are joined. Joined clusters are independent of each
    other too, so that the standard error stays right, and varies itself by about 1 %.
    """

    def __init__(self) -> None:
        self.table: _native.KeyTable | None = _native.KeyTable(LIMIT)
        self.weight, self.loss = GroupSums(LIMIT), GroupSums(LIMIT)

    def add(self, cluster: Array, weight: Array, loss: Array) -> None:
        """Add rows: hashes of their clusters (uint64), weights, weighted losses."""
        places = self._find(cluster)
        if places is None:
            self.to_buckets()
            places = _bucket(cluster)
        self.weight.add(weight, places)
        self.loss.add(loss, places)

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
            self.weight, self.loss = self._joined()
            self.table = None

    def _joined(self) -> tuple[GroupSums, GroupSums]:
        if self.table is None:
            return self.weight, self.loss
        places = _bucket(self.keys())
        weight, loss = GroupSums(BUCKETS), GroupSums(BUCKETS)
        weight.add_from(self.weight, places)
        loss.add_from(self.loss, places)
        return weight, loss

    def merge(self, other: "ClusterSums") -> None:
        """Add the rows of another, which stays as it is."""
        places = self._find(other.keys()) if other.table is not None else None
        weight, loss = other.weight, other.loss
        if places is None:
            self.to_buckets()
            weight, loss = other._joined()
        self.weight.add_from(weight, places)
        self.loss.add_from(loss, places)

    def sums(self) -> tuple[list[int], list[int]]:
        """Return weight and weighted loss of each cluster, times 2^1074."""
        weights, losses = self.weight.scaled(), self.loss.scaled()
        used = [g for g, w in enumerate(weights) if w]
        return [weights[g] for g in used], [losses[g] for g in used]


def _bucket(keys: Array) -> Array:
    return (keys & np.uint64(BUCKETS - 1)).astype(np.int32)
