"""Exact sums over all rows, and what a chunk of rows adds to them."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._exact import UNIT, ExactSum, Term, exact_sums
from crossentropy.evaluation._row_scores import POWERS, RowScores

__all__ = ["LADDER", "Costs", "Totals", "costs_of"]

Array = np.ndarray[Any, Any]

#: The log loss is given beside for probabilities clipped at these.
LADDER = (1e-15, 1e-12, 1e-9, 1e-6, 1e-3)


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
    """Named exact sums; a name that was never added is 0."""

    def __init__(self) -> None:
        self.n = 0
        self.n_infinite = 0
        self.sums: dict[str, ExactSum] = {}

    def __getitem__(self, name: str) -> ExactSum:
        return self.sums.get(name, ExactSum())

    def add_all(self, terms: dict[str, Term]) -> None:
        """Add arrays, or products of two."""
        for name, total in zip(terms, exact_sums(list(terms.values())), strict=True):
            self.sums[name] = self[name] + total

    def merge(self, other: "Totals") -> None:
        """Add the sums of another."""
        self.n += other.n
        self.n_infinite += other.n_infinite
        for name, total in other.sums.items():
            self.sums[name] = self[name] + total

    def add(self, scores: RowScores, weight: Array | None, costs: Costs) -> None:
        """Add a chunk of rows."""
        n = len(scores.loss)
        self.n += n
        terms: dict[str, Term] = {"loss": costs.finite, "loss_square": (costs.finite, costs.finite)}
        for name in ("entropy", "brier", "brier_excess", "correct"):
            x = getattr(scores, name)
            terms[name] = x if weight is None else (weight, x)
        for name in ("variance", "brier_variance"):
            x = getattr(scores, name)
            terms[name] = x if weight is None else (weight * x, weight)
        if weight is not None:
            terms |= {
                "weight": weight,
                "weight_square": (weight, weight),
                "weight_loss": (weight, costs.finite),
            }
        if scores.powers is not None:
            terms["mean_variance"] = scores.variance if weight is None else (weight, scores.variance)
            for power, rows in zip(POWERS, scores.powers, strict=True):
                for order, x in enumerate(rows):
                    terms[f"power_{power}_{order}"] = x if weight is None else (weight, x)
        self.add_all(terms)
        if weight is None:
            for name in ("weight", "weight_square"):
                self.sums[name] = self[name] + ExactSum(n << UNIT)
            self.sums["weight_loss"] = self["loss"]
        if costs.infinite is not None:
            self._add_infinite(costs.infinite, weight)
        if costs.highest > -np.log(LADDER[-1]):
            self._add_ladder(scores.loss, weight, costs)

    def _add_infinite(self, infinite: Array, weight: Array | None) -> None:
        count = int(infinite.sum())
        self.n_infinite += count
        if weight is None:
            self.sums["infinite"] = self["infinite"] + ExactSum(count << UNIT)
        else:
            self.add_all({"infinite": weight[infinite]})

    def _add_ladder(self, loss: Array, weight: Array | None, costs: Costs) -> None:
        """Add what the rows above each clip weigh and cost; infinite ones are counted by themselves."""
        above = np.flatnonzero((loss > -np.log(LADDER[-1])) & (loss < np.inf))
        loss, cost = loss[above], costs.finite[above]
        weight = np.ones(len(above)) if weight is None else weight[above]
        for eps in LADDER:
            clipped = loss > -np.log(eps)
            if clipped.any():
                self.add_all({f"above_{eps}": weight[clipped], f"cost_above_{eps}": cost[clipped]})
