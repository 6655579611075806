"""Scores of groups of rows: of the classes, of the slices."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._exact import UNIT, ExactSum, GroupSums

__all__ = ["GroupScores", "GroupTerms", "GroupTotals"]

Array = np.ndarray[Any, Any]
NAMES = ("weight", "weight_square", "loss", "loss_square", "weight_loss", "brier", "correct")


class GroupTerms(NamedTuple):
    """What rows add to their groups; float64 arrays (n,), each times the row's weight."""

    #: The weight itself; None stands for 1 each.
    weight: Array | None
    #: Times the loss, 0 where that is infinite.
    loss: Array
    brier: Array
    correct: Array
    #: True where the loss is infinite; None for nowhere.
    infinite: Array | None


class GroupTotals(NamedTuple):
    """The sums of one group."""

    n: int
    n_infinite: int
    weight: ExactSum
    weight_square: ExactSum
    loss: ExactSum
    loss_square: ExactSum
    weight_loss: ExactSum
    brier: ExactSum
    correct: ExactSum


class GroupScores:
    """Exact sums by group; the number of groups may grow."""

    def __init__(self, groups: int, *, weighted: bool) -> None:
        self.weighted = weighted
        self.n = np.zeros(groups, np.int64)
        self.n_infinite = np.zeros(groups, np.int64)
        names = NAMES if weighted else [name for name in NAMES if "weight" not in name]
        self.sums = {name: GroupSums(groups) for name in names}

    def grow(self, groups: int) -> None:
        """Make room for more groups."""
        if groups <= len(self.n):
            return
        more = GroupScores(max(groups, 2 * len(self.n)), weighted=self.weighted)
        more.merge(self, np.arange(len(self.n)))
        self.n, self.n_infinite, self.sums = more.n, more.n_infinite, more.sums

    def add(self, group: Array, terms: GroupTerms) -> None:
        """Add rows to the groups (int32) they belong to."""
        groups = len(self.n)
        self.n += np.bincount(group, minlength=groups)
        if terms.infinite is not None:
            self.n_infinite += np.bincount(group[terms.infinite], minlength=groups)
        self.sums["loss"].add(terms.loss, group)
        self.sums["loss_square"].add((terms.loss, terms.loss), group)
        self.sums["brier"].add(terms.brier, group)
        self.sums["correct"].add(terms.correct, group)
        if terms.weight is not None:
            self.sums["weight"].add(terms.weight, group)
            self.sums["weight_square"].add((terms.weight, terms.weight), group)
            self.sums["weight_loss"].add((terms.weight, terms.loss), group)

    def merge(self, other: "GroupScores", places: Array) -> None:
        """Add the sums of another: group i goes to ``places[i]``."""
        m = len(places)
        np.add.at(self.n, places, other.n[:m])
        np.add.at(self.n_infinite, places, other.n_infinite[:m])
        for name, sums in self.sums.items():
            sums.add_from(other.sums[name], places)

    def totals(self, groups: int) -> list[GroupTotals]:
        """Return the sums of the first `groups` groups."""
        columns = {name: sums.scaled()[:groups] for name, sums in self.sums.items()}
        n = self.n[:groups].tolist()
        if not self.weighted:
            columns |= {"weight": _units(n), "weight_square": _units(n), "weight_loss": columns["loss"]}
        return [
            GroupTotals(n[g], int(self.n_infinite[g]), *(ExactSum(columns[name][g]) for name in NAMES))
            for g in range(groups)
        ]


def _units(counts: Sequence[int]) -> list[int]:
    return [c << UNIT for c in counts]
