"""Exact sums over all rows, and what a chunk of rows adds to them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._exact import UNIT, ExactSum, Term, exact_sums
from crossentropy.evaluation._row_scores import RowScores

__all__ = ["HIGH", "LADDER", "Costs", "Totals", "costs_of"]

Array = np.ndarray[Any, Any]

#: The log loss is given beside for probabilities clipped at these; and −ln of each, the same on every machine.
LADDER = {
    1e-15: 34.538776394910684,
    1e-12: 27.631021115928547,
    1e-9: 20.72326583694641,
    1e-6: 13.815510557964274,
    1e-3: 6.907755278982137,
}
#: Losses above this are changed by a clip.
HIGH = min(LADDER.values())
#: Variances, of which a weighted sum has the squares of the weights.
SQUARED = ("variance", "brier_variance")


class Costs(NamedTuple):
    """Losses of a chunk of rows, weighted; float64 (n,)."""

    #: Weight times loss, 0 where the loss is infinite; and with the infinite ones.
    finite: Array
    all: Array
    #: True where the loss is infinite; None for nowhere.
    infinite: Array | None
    highest: float


def costs_of(loss: Array, weight: Array | None) -> Costs:
    """Weigh losses."""
    cost = loss if weight is None else loss * weight
    highest = float(loss.max(initial=0.0))
    if highest < np.inf:
        return Costs(cost, cost, None, highest)
    infinite = np.isinf(loss)
    return Costs(np.where(infinite, 0.0, cost), cost, infinite, highest)


class Totals:
    """Named exact sums and counts; a name that was never added is 0."""

    def __init__(self) -> None:
        self.counts = {"n": 0, "n_infinite": 0, "n_one": 0, "n_infinite_one": 0}
        self.sums: dict[str, ExactSum] = {}

    def __getitem__(self, name: str) -> ExactSum:
        return self.sums.get(name, ExactSum())

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.counts["n"]

    @property
    def n_infinite(self) -> int:
        """The number of rows whose loss is infinite."""
        return self.counts["n_infinite"]

    def add_all(self, terms: Mapping[str, Term]) -> None:
        """Add arrays, or products of two."""
        self.add_sums(dict(zip(terms, exact_sums(list(terms.values())), strict=True)))

    def add_sums(self, sums: Mapping[str, ExactSum]) -> None:
        """Add sums."""
        for name, total in sums.items():
            self.sums[name] = self[name] + total

    def merge(self, other: "Totals") -> None:
        """Add the sums of another."""
        for name, count in other.counts.items():
            self.counts[name] += count
        self.add_sums(other.sums)

    def count(self, n: int, labels: Array | None) -> None:
        """Count rows, and those of label 1 of two classes, whose sums are kept here."""
        self.counts["n"] += n
        if labels is not None:
            ones = labels.view(np.bool_) if labels.dtype == np.int8 else labels
            self.counts["n_one"] += int(np.count_nonzero(ones))

    def add(self, scores: RowScores, labels: Array | None, weight: Array | None, costs: Costs) -> None:
        """Add a chunk of rows; see `add_high` for what else there is to add."""
        terms: dict[str, Term] = {"loss": costs.finite, "loss_square": (costs.finite, costs.finite)}
        if weight is not None:
            terms |= {
                "weight": weight,
                "weight_square": (weight, weight),
                "weight_loss": (weight, costs.finite),
                "mean_variance": (weight, scores.bounded["variance"]),
            }
            for name, x in scores.bounded.items():
                terms[name] = (weight * x, weight) if name in SQUARED else (weight, x)
        if labels is not None:
            terms |= _of_label_one(labels, weight, costs)
        self.add_all(terms)
        if scores.sums is not None:
            self.add_unweighted(len(scores.loss), scores.sums)

    def add_unweighted(self, n: int, sums: Mapping[str, ExactSum]) -> None:
        """Add sums over n rows without weights; all that were not added yet."""
        units = ExactSum(n << UNIT)
        self.add_sums({**sums, "weight": units, "weight_square": units})
        self.sums["weight_loss"] = self["loss"]
        self.sums["mean_variance"] = self["variance"]

    def add_high(self, loss: Array, labels: Array | None, weight: Array | None, costs: Costs) -> None:
        """Add what rows contribute because their loss is above `HIGH`; others may be left out."""
        if costs.infinite is not None:
            self._add_infinite(costs.infinite, weight)
            if labels is not None:
                self.counts["n_infinite_one"] += int(np.count_nonzero(costs.infinite & (labels == 1)))
        if costs.highest > HIGH:
            self._add_ladder(loss, weight, costs)

    def _add_infinite(self, infinite: Array, weight: Array | None) -> None:
        count = int(infinite.sum())
        self.counts["n_infinite"] += count
        if weight is None:
            self.sums["infinite"] = self["infinite"] + ExactSum(count << UNIT)
        else:
            self.add_all({"infinite": weight[infinite]})

    def _add_ladder(self, loss: Array, weight: Array | None, costs: Costs) -> None:
        """Add what the rows above each clip weigh and cost; infinite ones are counted by themselves."""
        above = np.flatnonzero((loss > HIGH) & (loss < np.inf))
        loss, cost = loss[above], costs.finite[above]
        weight = np.ones(len(above)) if weight is None else weight[above]
        terms: dict[str, Term] = {}
        for eps, limit in LADDER.items():
            clipped = loss > limit
            if clipped.any():
                terms |= {f"above_{eps}": weight * clipped, f"cost_above_{eps}": cost * clipped}
        if terms:
            self.add_all(terms)


def _of_label_one(labels: Array, weight: Array | None, costs: Costs) -> dict[str, Term]:
    """Return the terms of the rows of label 1; those of label 0 are the others."""
    one = labels.astype(np.float64)
    own = costs.finite * one
    terms: dict[str, Term] = {"one_loss": own, "one_loss_square": (own, own)}
    if weight is not None:
        one *= weight
        terms |= {
            "one_weight": one,
            "one_weight_square": (one, one),
            "one_weight_loss": (one, costs.finite),
        }
    return terms
