"""What rows add to their clusters: for the interval of the log loss, and for what is said of calibration."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from crossentropy.evaluation._clusters import ClusterSums
from crossentropy.evaluation._exact import GroupSums, Term
from crossentropy.evaluation._reliability_bins import bin_places

__all__ = ["ClusterScores"]

Array = np.ndarray[Any, Any]
#: Loss and entropy, and how far Brier scores are above and below their expectation, tell what chance does not explain.
#: Parts above and below are apart because exact sums of one sign take a tenth of the memory of sums of both.
NAMES = ("weight", "loss", "entropy", "brier_above", "brier_below")
#: Gaps are kept for at most so many groups of clusters and bins together, but for at least `LEAST` groups.
CELLS = 1 << 13
LEAST = 16


class ClusterScores:
    """Exact sums for each cluster, and those of the gaps between label and prediction in each bin of the predictions.

    The sign of a bin's gap, which the calibration error counts, is known when all rows are. So the gaps are kept bin by
    bin, of clusters that are joined by their hashes: into 512 groups for up to 16 bins. Joined clusters are
    independent of each other too.

    Parameters
    ----------
    bins : int
        The bins of the calibration error.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins
        self.sums = ClusterSums(NAMES)
        self.groups = max(LEAST, 1 << (CELLS // bins).bit_length() - 1) if bins <= CELLS else LEAST
        self._make_gaps()

    def _make_gaps(self) -> None:
        #: Of each group the weight; and of each of its bins, apart, the gaps below 0 and above.
        self.group_weights = GroupSums(self.groups)
        self.gaps = GroupSums(self.groups * self.bins * 2)

    @property
    def has_calibration(self) -> bool:
        """Whether more is known than weight and loss; not in states of an earlier release, nor in sums with them."""
        return "entropy" in self.sums.columns

    def forget_calibration(self) -> None:
        """Keep weight and loss alone."""
        self.sums.columns = {name: self.sums.columns[name] for name in NAMES[:2]}
        self._make_gaps()

    def add(
        self,
        cluster: Array,
        weight: Array | None,
        cost: Array,
        bounded: Mapping[str, Array],
        probability: Array,
        label: Array,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        cluster : uint64 array (n,)
            Hashes of clusters.
        weight : float64 array (n,), optional
        cost : float64 array (n,)
            The weighted loss, 0 where it is infinite.
        bounded : mapping
            Entropy and excess of the Brier score, not weighted.
        probability : float64 array (n,)
            What the calibration error is of, and `label` what it should be.
        label : array (n,)
        """
        ones = np.ones(len(cluster)) if weight is None else weight
        if not self.has_calibration:
            self.sums.add(cluster, ones, cost)
            return

        def weighted(x: Array) -> Term:
            return x if weight is None else (x, weight)

        excess = bounded["brier_excess"]
        above, below = weighted(np.maximum(excess, 0.0)), weighted(np.maximum(-excess, 0.0))
        self.sums.add(cluster, ones, cost, weighted(bounded["entropy"]), above, below)
        group = (cluster & np.uint64(self.groups - 1)).astype(np.int32)
        cell = group * np.int32(self.bins) + bin_places(probability, self.bins)
        gap = label - probability
        self.group_weights.add(ones, group)
        self.gaps.add(weighted(np.abs(gap)), 2 * cell + (gap > 0))

    def merge(self, other: "ClusterScores") -> None:
        """Add the rows of another, which stays as it is."""
        if not other.has_calibration:
            self.forget_calibration()
        self.sums.merge(other.sums)
        if self.has_calibration:
            self.group_weights.add_from(other.group_weights)
            self.gaps.add_from(other.gaps)

    def excesses(self) -> tuple[list[int], list[int]]:
        """Return what log loss and Brier score of each cluster have more than expected, weighted and times 2^1074."""
        _, losses, entropies, above, below = self.sums.sums()
        return _differences(losses, entropies), _differences(above, below)

    def errors_of_groups(self, signs: Array) -> tuple[list[int], list[int]]:
        """Return the weight of each group that has rows, and the sum of its gaps with the sign of their bin.

        Both are times 2^1074.
        """
        sign = np.stack([-signs, signs], axis=1) + np.zeros((self.groups, 1, 1), np.int64)
        group = np.arange(self.groups)[:, None, None]
        sums = GroupSums(3 * self.groups)  # of gaps of each sign
        sums.add_from(self.gaps, (group + self.groups * (sign % 3)).reshape(-1))
        totals = sums.scaled()
        errors = _differences(totals[self.groups : 2 * self.groups], totals[2 * self.groups :])
        weights = self.group_weights.scaled()
        used = [g for g, weight in enumerate(weights) if weight]
        return [weights[g] for g in used], [errors[g] for g in used]


def _differences(x: list[int], y: list[int]) -> list[int]:
    return [a - b for a, b in zip(x, y, strict=True)]
