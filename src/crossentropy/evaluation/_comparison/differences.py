"""From paired rows to the difference of two models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossentropy.evaluation._comparison.murphy import murphy
from crossentropy.evaluation._comparison.rows import ScoredRows
from crossentropy.evaluation._comparison.series import mean_of_series
from crossentropy.evaluation._comparison.sign_flips import sign_flip_p
from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._group_results import adjusted_p
from crossentropy.evaluation._hashing import mixed
from crossentropy.evaluation._intervals import check_confidence
from crossentropy.evaluation._paired import Mean, mean_over_rows
from crossentropy.evaluation.comparison import Difference
from crossentropy.evaluation.result import Evaluation

__all__ = ["Tests", "difference_of", "with_adjusted_p"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tests:
    """How differences are tested; the arguments of `compare`."""

    confidence: float
    horizon: int | None
    permutations: int
    seed: int
    worst: int

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        for name, least in (("horizon", 1), ("permutations", 0), ("seed", 0), ("worst", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(f"{name} is {value!r}; pass an integer of at least {least}")


def difference_of(
    model: str,
    reference: str,
    rows: tuple[ScoredRows, ScoredRows],
    scores: tuple[Evaluation, Evaluation],
    slices: Sequence[str],
    classes: Sequence[Label],
    tests: Tests,
) -> Difference:
    """Compare a model (second of the pairs) with the reference (first), row by row."""
    first, second = rows
    weight, cluster = first.weight, first.cluster
    with np.errstate(invalid="ignore"):
        d = second.losses - first.losses
    alone = mean_over_rows(d, weight)
    mean, errors = alone, "rows"
    if tests.horizon is not None:
        mean, errors = mean_of_series(d, tests.horizon), "series"
    elif cluster is not None:
        mean, errors = mean_over_rows(d, weight, cluster), "clusters"
    weighted = d if weight is None else d * weight
    keys = _row_keys(first) if cluster is None else cluster
    flips = sign_flip_p(weighted, keys, replicates=tests.permutations, seed=tests.seed)
    dominant, curve = None, None
    if first.probability is not None and second.probability is not None:
        found = murphy(first.probability, second.probability, first.labels, weight)
        dominant = {"first": reference, "second": model}.get(found.dominant or "", found.dominant)
        curve = [
            {"threshold": theta, "reference": a, "model": b, "difference": b - a}
            for theta, a, b in found.curve
        ]
    return Difference(
        model,
        reference,
        None if math.isnan(mean.value) else mean.value,
        mean.standard_error,
        mean.interval(tests.confidence),
        tests.confidence,
        mean.t,
        mean.freedom,
        mean.p_value,
        mean.p_value,
        errors,
        alone.standard_error,
        None if tests.horizon is not None else flips,
        int((d < 0).sum()),
        int((d > 0).sum()),
        _less(scores[1].miscalibration, scores[0].miscalibration),
        _less(scores[1].discrimination, scores[0].discrimination),
        dominant,
        curve,
        _slices(first, d, slices, tests.confidence),
        _rows(first, second, d, weighted, classes, tests.worst),
    )


def _row_keys(rows: ScoredRows) -> Array:
    """Hash the name of each row and the place of its file, so that row 0 of one file is not row 0 of another."""
    return rows.keys ^ mixed(np.arange(len(rows.origin.names), dtype=np.uint64))[rows.origin.codes]


def _less(x: float | None, y: float | None) -> float | None:
    known = x is not None and y is not None and math.isfinite(x) and math.isfinite(y)
    return x - y if known else None  # type: ignore[operator]


def _slices(rows: ScoredRows, d: Array, columns: Sequence[str], confidence: float) -> list[dict[str, Any]]:
    """Return the mean difference in each slice, that of the largest contribution first."""
    whole = float(len(d) if rows.weight is None else math.fsum(rows.weight))
    results = []
    for column, of_rows in zip(columns, rows.slices, strict=True):
        order = np.argsort(of_rows.codes, kind="stable")
        ends = np.cumsum(np.bincount(of_rows.codes, minlength=len(of_rows.names)))
        for name, here in zip(of_rows.names, np.split(order, ends[:-1]), strict=True):
            if not len(here):
                continue
            w = None if rows.weight is None else rows.weight[here]
            mean = mean_over_rows(d[here], w, None if rows.cluster is None else rows.cluster[here])
            share = (len(here) if w is None else math.fsum(w)) / whole
            results.append(
                {
                    "column": column,
                    "slice": name,
                    "n": len(here),
                    **_of_mean(mean, confidence),
                    "contribution": None if math.isnan(mean.value) else share * mean.value,
                }
            )
    adjusted = adjusted_p([result["p_value"] for result in results])
    for result, p in zip(results, adjusted, strict=True):
        result["adjusted_p_value"] = p
    return sorted(results, key=_by_contribution)


def _by_contribution(result: dict[str, Any]) -> tuple[Any, ...]:
    """Return what slices are sorted by: a contribution that is not known comes last."""
    part = result["contribution"]
    return part is None, -abs(part or 0.0), result["column"], result["slice"]


def _of_mean(mean: Mean, confidence: float) -> dict[str, Any]:
    return {
        "difference": None if math.isnan(mean.value) else mean.value,
        "standard_error": mean.standard_error,
        "interval": mean.interval(confidence),
        "p_value": mean.p_value,
    }


def _rows(
    first: ScoredRows, second: ScoredRows, d: Array, weighted: Array, classes: Sequence[Label], worst: int
) -> list[dict[str, Any]]:
    """Return the rows that make most of the difference, in either direction."""
    size = np.nan_to_num(np.abs(weighted), nan=0.0, posinf=np.inf)
    count = min(worst, len(d))
    if not count:
        return []
    least = np.partition(size, len(d) - count)[len(d) - count]
    found = np.flatnonzero((size >= least) & (size > 0))
    names = [name if isinstance(name, str) else int(name) for name in first.names[found]]
    ordered = sorted(
        zip(found.tolist(), names, strict=True),
        key=lambda row: (-size[row[0]], first.origin.codes[row[0]], isinstance(row[1], str), row[1]),
    )
    return [
        {
            **_origin(first, i),
            "row": name,
            "label": classes[int(first.labels[i])],
            "reference": float(first.losses[i]),
            "model": float(second.losses[i]),
            "difference": float(d[i]),
            "weight": 1.0 if first.weight is None else float(first.weight[i]),
        }
        for i, name in ordered[:count]
    ]


def _origin(rows: ScoredRows, i: int) -> dict[str, str]:
    name = rows.origin.names[rows.origin.codes[i]]
    return {"origin": name} if name else {}


def with_adjusted_p(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Adjust the p-values of several models together, by Holm's method.

    (Holm 1979: the k-th smallest of m times m − k + 1, and not below the one before.) None of the models that are as
    good as the reference is called different, with the probability 1 − q, if those below q are called so.
    """
    known = sorted((x.p_value, i) for i, x in enumerate(differences) if x.p_value is not None)
    adjusted, least = list(differences), 0.0
    for rank, (p, i) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        adjusted[i] = replace(differences[i], adjusted_p_value=least)
    return tuple(adjusted)
