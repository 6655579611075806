"""Scores of groups of rows: of the classes, of the slices."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._exact import UNIT, ExactSum, GroupSums
from crossentropy.evaluation._totals import Totals

__all__ = ["GroupScores", "GroupTerms", "GroupTotals", "two_classes"]

Array = np.ndarray[Any, Any]
NAMES = ("weight", "weight_square", "loss", "loss_square", "weight_loss", "brier", "correct")


class GroupTerms(NamedTuple):
    """What rows add to their groups; float64 arrays (n,), each times the row's weight."""

    #: The weight itself; None stands for 1 each.
    weight: Array | None
    #: Times the loss, 0 where that is infinite.
    loss: Array
    brier: Array | None
    correct: Array | None
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
    """Exact sums by group; the number of groups may grow. Without `scored`, of the loss alone."""

    def __init__(self, groups: int, *, weighted: bool, scored: bool = True) -> None:
        self.weighted, self.scored = weighted, scored
        self.n = np.zeros(groups, np.int64)
        self.n_infinite = np.zeros(groups, np.int64)
        names = [name for name in NAMES if scored or name not in ("brier", "correct")]
        names = [name for name in names if weighted or "weight" not in name]
        self.sums = {name: GroupSums(groups) for name in names}

    def grow(self, groups: int) -> None:
        """Make room for more groups."""
        if groups <= len(self.n):
            return
        more = GroupScores(max(groups, 2 * len(self.n)), weighted=self.weighted, scored=self.scored)
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
        if self.scored and terms.brier is not None and terms.correct is not None:
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
        if not self.scored:
            columns |= {"brier": [0] * groups, "correct": [0] * groups}
        return [
            GroupTotals(n[g], int(self.n_infinite[g]), *(ExactSum(columns[name][g]) for name in NAMES))
            for g in range(groups)
        ]


def _units(counts: Sequence[int]) -> list[int]:
    return [c << UNIT for c in counts]


def two_classes(totals: Totals, *, weighted: bool) -> list[GroupTotals]:
    """Return the sums of labels 0 and 1, from those of label 1 and of all rows; without Brier score and accuracy."""
    n, infinite = totals.counts["n_one"], totals.counts["n_infinite_one"]
    units = ExactSum(n << UNIT)
    names = ("loss", "loss_square", "weight_loss" if weighted else "loss")
    weights = (totals["one_weight"], totals["one_weight_square"]) if weighted else (units, units)
    nothing = [ExactSum(), ExactSum()]
    one = [*weights, *(totals[f"one_{name}"] for name in names), *nothing]
    every = [*(totals[name] for name in ("weight", "weight_square", *names)), *nothing]
    zero = [a + ExactSum(*(-x for x in b)) for a, b in zip(every, one, strict=True)]
    return [
        GroupTotals(totals.n - n, totals.n_infinite - infinite, *zero),
        GroupTotals(n, infinite, *one),
    ]
