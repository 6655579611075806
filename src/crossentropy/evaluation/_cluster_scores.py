"""Sums of rows by cluster: for intervals, and for tests of calibration."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from crossentropy.evaluation._clusters import ClusterSums
from crossentropy.evaluation._exact import GroupSums, Term
from crossentropy.evaluation._reliability_bins import bin_places

__all__ = ["CellSums", "ClusterScores"]

Array = np.ndarray[Any, Any]
#: Loss and entropy, and how far Brier scores are above and below their expectation, tell what chance does not explain.
#: Parts above and below are apart because exact sums of one sign take a tenth of the memory of sums of both.
NAMES = ("weight", "loss", "entropy", "brier_above", "brier_below")
#: Clusters are joined so that there are at most so many cells, but into at least `LEAST` groups.
CELLS = 1 << 14
MOST, LEAST = 4096, 16


class CellSums:
    """Exact sums for each cell in each of some groups of clusters.

    Clusters are joined by their hashes, into 4096 groups, or fewer for more than 4 cells. Joined clusters are
    independent of each other too.
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.groups = MOST
        while self.groups > LEAST and self.groups * cells > CELLS:
            self.groups //= 2
        self.sums = GroupSums(self.groups * cells)

    def add(self, term: Term, cluster: Array, cell: Array | int) -> None:
        """Add rows: hashes of their clusters (uint64), and their cells (int32)."""
        group = (cluster & np.uint64(self.groups - 1)).astype(np.int32)
        self.sums.add(term, group * np.int32(self.cells) + cell)

    def by_group(self) -> list[list[int]]:
        """Return the sums of the cells of each group, times 2^1074."""
        sums = self.sums.scaled()
        return [sums[i : i + self.cells] for i in range(0, len(sums), self.cells)]


class ClusterScores:
    """Exact sums for each cluster, and for groups of clusters by bin and by class.

    The sign of a bin's gap between labels and predictions, which the calibration error counts, is known when all rows
    are. So the gaps are kept bin by bin.

    Parameters
    ----------
    bins : int
        The bins of the calibration error.
    classes : int
        The classes; 0 of soft labels.
    """

    def __init__(self, bins: int, classes: int) -> None:
        self.bins, self.classes = bins, classes
        self.sums = ClusterSums(NAMES)
        #: Of each bin the gaps below 0 and above, apart, and then the weight of the group.
        self.gaps = CellSums(2 * bins + 1)
        #: Of each class weight and loss.
        self.of_classes = CellSums(2 * classes)

    @property
    def is_complete(self) -> bool:
        """Whether more is known than weight and loss; not in states of an earlier release, nor in sums with them."""
        return "entropy" in self.sums.columns

    def keep_loss_alone(self) -> None:
        """Forget all but weight and loss of each cluster."""
        self.sums.columns = {name: self.sums.columns[name] for name in NAMES[:2]}
        self.gaps, self.of_classes = CellSums(2 * self.bins + 1), CellSums(2 * self.classes)

    def add(
        self,
        cluster: Array,
        weight: Array | None,
        labels: Array,
        cost: Array,
        bounded: Mapping[str, Array],
        probability: Array,
        hit: Array,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        cluster : uint64 array (n,)
            Hashes of clusters.
        weight : float64 array (n,), optional
        labels : integer array (n,), or soft labels
        cost : float64 array (n,)
            The weighted loss, 0 where it is infinite.
        bounded : mapping
            Entropy and excess of the Brier score, not weighted.
        probability : float64 array (n,)
            What the calibration error is of, and `hit` what it should be.
        hit : array (n,)
        """
        ones = np.ones(len(cluster)) if weight is None else weight
        if not self.is_complete:
            self.sums.add(cluster, ones, cost)
            return

        def weighted(x: Array) -> Term:
            return x if weight is None else (x, weight)

        excess = bounded["brier_excess"]
        above, below = weighted(np.maximum(excess, 0.0)), weighted(np.maximum(-excess, 0.0))
        self.sums.add(cluster, ones, cost, weighted(bounded["entropy"]), above, below)
        gap = hit - probability
        self.gaps.add(weighted(np.abs(gap)), cluster, 2 * bin_places(probability, self.bins) + (gap > 0))
        self.gaps.add(ones, cluster, 2 * self.bins)
        if self.classes:
            place = 2 * labels.astype(np.int32)
            self.of_classes.add(ones, cluster, place)
            self.of_classes.add(cost, cluster, place + np.int32(1))

    def merge(self, other: "ClusterScores") -> None:
        """Add the rows of another, which stays as it is."""
        if not other.is_complete:
            self.keep_loss_alone()
        self.sums.merge(other.sums)
        if self.is_complete:
            self.gaps.sums.add_from(other.gaps.sums)
            self.of_classes.sums.add_from(other.of_classes.sums)

    def excesses(self) -> tuple[list[int], list[int]]:
        """Return what log loss and Brier score of each cluster have more than expected, weighted and times 2^1074."""
        _, losses, entropies, above, below = self.sums.sums()
        return _differences(losses, entropies), _differences(above, below)

    def gaps_of_groups(self, signs: list[int]) -> tuple[list[int], list[int]]:
        """Return the weight of each group that has rows, and the sum of its gaps times the sign of their bin.

        Both are times 2^1074.
        """
        factors = [factor for sign in signs for factor in (-sign, sign)]
        used = [sums for sums in self.gaps.by_group() if sums[-1]]
        gaps = [sum(f * x for f, x in zip(factors, sums[:-1], strict=True)) for sums in used]
        return [sums[-1] for sums in used], gaps

    def class_sums(self) -> list[tuple[list[int], list[int]]]:
        """Return for each class the weights and the losses of the groups that have it, times 2^1074."""
        groups = self.of_classes.by_group()
        found = []
        for c in range(self.classes):
            used = [sums for sums in groups if sums[2 * c]]
            found.append(([sums[2 * c] for sums in used], [sums[2 * c + 1] for sums in used]))
        return found


def _differences(x: list[int], y: list[int]) -> list[int]:
    return [a - b for a, b in zip(x, y, strict=True)]
