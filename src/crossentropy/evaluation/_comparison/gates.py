"""Whether models are not worse than a baseline: by the paired test, or by two results where there are no rows."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._gates import Gate
from crossentropy.evaluation._intervals import student_quantile
from crossentropy.evaluation.comparison import Difference
from crossentropy.evaluation.result import Evaluation

__all__ = ["Baseline", "paired_gate", "read_baseline", "unpaired_gate"]


class Baseline(NamedTuple):
    """The result of a model whose rows are not there."""

    name: str
    #: The number of rows, or of clusters if the error is by clusters.
    n: int
    log_loss: float
    standard_error: float


def read_baseline(path: Path) -> Baseline:
    """Read the log loss and its error from what ``crossentropy evaluate --json`` has printed.

    Raises
    ------
    BadData
        If the file is something else, or the log loss has no error.
    """
    try:
        tree: Any = json.loads(path.read_bytes())
        n = int(tree.get("clusters") or tree["n"])
        return Baseline(str(path), n, float(tree["log_loss"]), float(tree["standard_error"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{path} is no result of crossentropy evaluate --json, of at least two rows of finite loss; predictions in "
            "JSON lines need a name that ends in .jsonl"
        ) from error


def paired_gate(difference: Difference, margin: float | None, limit: str) -> Gate:
    """Decide by the difference on the same rows.

    Without a margin, a model fails if the whole interval of the difference is above 0: if it is worse beyond chance.
    With one, it passes if the whole interval is at most the margin: if it is shown to be no worse by more than that.
    """
    if difference.interval is None or difference.difference is None:
        return _gate(limit, False, f"{difference.sentence()} No paired test is possible", difference.model)
    sentence = (
        f"the log loss of {difference.model} less that of {difference.reference} is {difference.difference:.6g}, by "
        f"the paired test from {difference.interval[0]:.6g} to {difference.interval[1]:.6g}"
    )
    return _gate(limit, _keeps(difference.interval, margin), sentence, difference.model)


def unpaired_gate(
    model: str, result: Evaluation, baseline: Baseline, margin: float | None, limit: str
) -> Gate:
    """Decide by two results of which one has no rows; the interval is wider than that of a paired test."""
    if result.standard_error is None:
        return _gate(
            limit, False, f"the log loss of {model} is {result.log_loss:g}; it has no interval", model
        )
    difference = result.log_loss - baseline.log_loss
    error = math.hypot(result.standard_error, baseline.standard_error)
    freedom = max(1, min(result.clusters or result.n, baseline.n) - 1)
    reach = student_quantile(0.5 + result.confidence / 2, freedom) * error
    sentence = (
        f"the log loss of {model} less that of {baseline.name} is {difference:.6g}, unpaired from "
        f"{difference - reach:.6g} to {difference + reach:.6g}; a file of predictions in place of {baseline.name} "
        "would allow the paired test, whose interval is narrower"
    )
    return _gate(limit, _keeps((difference - reach, difference + reach), margin), sentence, model)


def _keeps(interval: tuple[float, float], margin: float | None) -> bool:
    return interval[0] <= 0 if margin is None else interval[1] <= margin


def _gate(limit: str, passed: bool, sentence: str, model: str) -> Gate:
    return Gate("not_worse_than", limit, passed, sentence, model)
