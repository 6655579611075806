"""The scores of classes and slices, with intervals, and which slices differ from the rest."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from crossentropy.evaluation._exact import UNIT, ExactSum, scaled
from crossentropy.evaluation._groups import GroupTotals
from crossentropy.evaluation._intervals import cluster_variance, mean_of, sandwich_variance, student_interval
from crossentropy.evaluation._student import student_p

__all__ = ["Design", "adjusted_p", "class_designs", "group_result", "skill_variance", "slice_results"]


class Design(NamedTuple):
    """What clusters do to standard errors.

    Sums by cluster are kept of the log loss of all rows and of each class. The effect of clusters on what is known of a
    slice is taken to be that on the log loss of all rows, and to narrow nothing.
    """

    #: The variance of the log loss of all rows by cluster, divided by that of independent rows.
    effect: float = 1.0
    #: The number of clusters; None for independent rows.
    clusters: int | None = None

    @classmethod
    def of(cls, by_cluster: float | None, of_rows: float | None, clusters: int) -> "Design":
        """Compare a variance by cluster with that of independent rows."""
        return cls(by_cluster / of_rows if of_rows and by_cluster is not None else 1.0, clusters)

    def freedom(self, n: int) -> int:
        """Return the degrees of freedom of a variance of n rows."""
        return (n if self.clusters is None else min(n, self.clusters)) - 1

    @property
    def of_others(self) -> float:
        """The effect on variances other than that of the log loss of all rows."""
        return max(1.0, self.effect)


def group_result(g: GroupTotals, confidence: float, design: Design) -> dict[str, Any]:
    """Return number, weight, mean loss and its interval of a group."""
    infinite = g.n_infinite > 0
    loss = math.inf if infinite else mean_of(g.loss, g.weight)
    variance = None if infinite or design.freedom(g.n) < 1 else _variance(g)
    error = None if variance is None else math.sqrt(variance * design.of_others)
    return {
        "n": g.n,
        "weight": float(g.weight),
        "log_loss": loss,
        "standard_error": error,
        "interval": student_interval(loss, error, design.freedom(g.n), confidence),
        "n_infinite": g.n_infinite,
    }


def class_designs(groups: Sequence[GroupTotals], sums: Sequence[tuple[list[int], list[int]]]) -> list[Design]:
    """Return what clusters do to the loss of each class, from weights and losses of its groups of clusters."""
    return [
        Design.of(cluster_variance(weights, losses), _variance(g), len(weights))
        for g, (weights, losses) in zip(groups, sums, strict=True)
    ]


def _variance(g: GroupTotals) -> float | None:
    return sandwich_variance(g.n, g.weight, g.weight_square, g.loss, g.loss_square, g.weight_loss)


def skill_variance(classes: Sequence[GroupTotals], nulls: Sequence[float]) -> float | None:
    r"""Variance of ``1 − L / H`` of independent rows, where H is the mean of the null losses ``c`` of their classes.

    .. math:: \frac{n}{n - 1}\, \frac{\sum_i w_i^2 (\ell_i - r\, c_{y_i})^2}{(W H)^2}, \qquad r = \frac{L}{H}

    This is the delta method. It holds for base rates that are estimated from the same rows too, because to first order
    their entropy changes as their cross-entropy does. None for fewer than two rows.
    """
    whole = _sum(classes)
    if whole.n < 2 or whole.n_infinite:
        return None
    # In integers: costs and sums in units of 2^-1074, `null`, which is W H, in the square of it, and c r as a quotient
    # by `null`. The variance has the unit to the third power in its divisor.
    costs = [scaled(c) for c in nulls]
    null = sum(c * g.weight.scaled for c, g in zip(costs, classes, strict=True))
    if not null:
        return None
    square = 0
    for c, g in zip(costs, classes, strict=True):
        share = c * whole.loss.scaled
        square += (
            null**2 * g.loss_square.scaled
            - 2 * null * share * g.weight_loss.scaled
            + share**2 * g.weight_square.scaled
        )
    return ((whole.n * square) << 3 * UNIT) / ((whole.n - 1) * null**4)


def slice_results(
    column: str, names: Sequence[str], groups: Sequence[GroupTotals], confidence: float, design: Design
) -> list[dict[str, Any]]:
    """Return the scores of the slices of one column that have rows, by name, and a test of each against the others."""
    whole = _sum(groups)
    results = []
    for name, g in sorted(zip(names, groups, strict=True)):
        if not g.n:
            continue
        rest = _difference(whole, g)
        result = {"column": column, "slice": name, **group_result(g, confidence, design)}
        result |= {
            "share_of_weight": mean_of(g.weight, whole.weight),
            "share_of_loss": _share(g, whole),
            "brier": mean_of(g.brier, g.weight),
            "accuracy": mean_of(g.correct, g.weight),
            "p_value": _p_value(g, rest, design),
        }
        results.append(result)
    return results


def _share(g: GroupTotals, whole: GroupTotals) -> float | None:
    if whole.n_infinite or not whole.loss.scaled:
        return None
    return mean_of(g.loss, whole.loss)


def _p_value(g: GroupTotals, rest: GroupTotals, design: Design) -> float | None:
    r"""Test whether a slice has the mean loss of the other rows; None if there are too few to tell.

    .. math:: t = \frac{L_1 - L_2}{\sqrt{v_1 + v_2}}, \qquad v_k = \max(s_1^2, s_2^2)\, \frac{\sum_i w_i^2}{W_k^2}

    by Student's distribution with Welch's degrees of freedom. Both sides are given the larger of the two variances s²
    of a row, since losses are skewed: most rows have a small one, a few a large one. A few rows of small loss are alike
    by chance, and their own variance would make them differ from the rest beyond any doubt.
    """
    own, other = _variance(g), _variance(rest)
    if (
        g.n_infinite
        or rest.n_infinite
        or design.clusters == 1
        or own is None
        or other is None
        or own + other <= 0
    ):
        return None
    spread, its = _spread(g), _spread(rest)
    variance = design.of_others * max(own / spread, other / its) * (spread + its)
    share = spread / (spread + its)
    freedom = 1 / (share**2 / design.freedom(g.n) + (1 - share) ** 2 / design.freedom(rest.n))
    difference = mean_of(g.loss, g.weight) - mean_of(rest.loss, rest.weight)
    return student_p(difference / math.sqrt(variance), freedom)


def _spread(g: GroupTotals) -> float:
    """Return Σ w² / W², by which the variance of a row becomes that of the mean."""
    return (g.weight_square.scaled << UNIT) / g.weight.scaled**2


def _difference(whole: GroupTotals, part: GroupTotals) -> GroupTotals:
    negative = [ExactSum(*(-x for x in total)) for total in part[2:]]
    return _sum([whole, GroupTotals(-part.n, -part.n_infinite, *negative)])


def _sum(groups: Sequence[GroupTotals]) -> GroupTotals:
    columns = list(zip(*groups, strict=True))
    sums = [sum(column, ExactSum()) for column in columns[2:]]
    return GroupTotals(sum(columns[0]), sum(columns[1]), *sums)


def adjusted_p(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values so that those below q have a false discovery rate of at most q.

    (Benjamini & Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x.)

    Examples
    --------
    >>> adjusted_p([0.01, None, 0.02, 0.5])
    [0.03, None, 0.03, 0.5]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(known), 0, -1):
        p, i = known[rank - 1]
        least = min(least, p * len(known) / rank)
        adjusted[i] = least
    return adjusted
