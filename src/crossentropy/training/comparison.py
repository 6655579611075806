"""Compare runs with several losses on the same held-out rows."""

import math
from dataclasses import dataclass, field
from itertools import combinations
from statistics import NormalDist

import numpy as np

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.training.experiment import Run
from crossentropy.training.measures import badness, common_measure, described
from crossentropy.training.scores import NORMAL_QUANTILE

ERROR_RATE = 0.05


@dataclass(frozen=True)
class Difference:
    """The mean over rows of the differences between two models, with its standard error."""

    mean: float
    standard_error: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return NORMAL_QUANTILE * self.standard_error

    def beyond_chance(self, pairs: int) -> bool:
        """Tell whether it is not 0, such that `pairs` such answers are all right with 95 % (Bonferroni)."""
        quantile = NormalDist().inv_cdf(1 - ERROR_RATE / (2 * pairs))
        return abs(self.mean) > quantile * self.standard_error


@dataclass(frozen=True)
class Comparison:
    """Runs with several losses on the same split of the same rows with the same seed.

    Attributes
    ----------
    runs : list of Run
        In the order of the user.
    failed : dict
        Why there is no run, by loss.
    """

    runs: list[Run]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """What of the validation rows chooses the run that is kept."""
        return common_measure(self.runs[0].options.select, [run.options.loss for run in self.runs])

    @property
    def kept(self) -> Run:
        """The run that is the best on the validation rows; the held-out rows have no part in the choice."""
        return min(self.runs, key=lambda run: badness(run.best, self.measure))

    def log_loss_differences(self, reference: Run) -> list[Difference]:
        """Compare the log losses of each run's rows with those of a run, in nats."""
        return [_difference(row_losses(run) - row_losses(reference)) for run in self.runs]

    def accuracy_differences(self, reference: Run) -> list[Difference]:
        """Compare how many rows each run has right with a run."""
        return [_difference(row_hits(run) - row_hits(reference)) for run in self.runs]


def row_losses(run: Run) -> np.ndarray:
    """Return the log loss of each held-out row in nats."""
    return -run.log_probabilities[np.arange(len(run.labels)), run.labels]


def row_hits(run: Run) -> np.ndarray:
    """Return 1 for each held-out row whose most probable class is the label, 0 for the others."""
    return (run.log_probabilities.argmax(axis=1) == run.labels).astype(np.float64)


def _difference(values: np.ndarray) -> Difference:
    """Average paired differences of rows."""
    n = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Difference(float(values.mean()), error)


def conclusions(comparison: Comparison) -> list[str]:
    """Say which run is kept and why, and which losses are better than which beyond chance."""
    losses = [run.given_loss for run in comparison.runs]
    classes_only = [loss for loss in losses if not parse_loss(loss).about_probabilities]
    if comparison.runs[0].options.select != "objective":
        why = f"--select {comparison.measure}"
    elif comparison.measure == "accuracy":
        why = f"{_and(classes_only)} {_is(classes_only)} not about probabilities"
    else:
        why = "the values of different losses are not comparable"
    failures = [f"No run with {loss}: {reason}" for loss, reason in comparison.failed.items()]
    if len(losses) == 1:
        return failures
    sentences = [
        f"The run with {comparison.kept.given_loss} is kept: its {described(comparison.measure)} ({why}). The "
        "held-out rows have no part in the choice.",
        _verdict("log loss", losses, [row_losses(run) for run in comparison.runs]),
    ]
    if comparison.measure == "accuracy" or classes_only:
        sentences.append(_verdict("accuracy", losses, [-row_hits(run) for run in comparison.runs]))
    if classes_only:
        sentences.append(
            f"{_and(classes_only)} {_is(classes_only)} least for a model that gives the most probable class all of the "
            "probability, or a lead. So the log loss says little about such a model: compare the accuracy."
        )
    unfinished = [run.given_loss for run in comparison.runs if not (run.converged or run.stopped)]
    if unfinished:
        sentences.append(
            f"The training with {_and(unfinished)} has not converged: the last epoch that --epochs allows is the best. "
            "Compare the losses again with a larger --epochs."
        )
    pairs = math.comb(len(losses), 2)
    several = f", all {pairs} pairs together" if pairs > 1 else ""
    sentences.append(
        "Beyond chance: models that are equally good would differ so much on less than 5 % of such sets of held-out "
        f"rows{several}. It is about the rows alone; another --seed may change the result by more."
    )
    return sentences + failures


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _verdict(what: str, losses: list[str], badnesses: list[np.ndarray]) -> str:
    """Say which losses are better than which beyond chance; a higher number of a row is worse."""
    better: dict[str, list[str]] = {}
    pairs = list(combinations(range(len(losses)), 2))
    for i, j in pairs:
        difference = _difference(badnesses[i] - badnesses[j])
        if difference.beyond_chance(len(pairs)):
            first, second = (i, j) if difference.mean < 0 else (j, i)
            better.setdefault(losses[first], []).append(losses[second])
    told = sum(map(len, better.values()))
    if not told:
        return f"By the {what} of the held-out rows, no loss is better than another beyond chance."
    claims = "; ".join(f"{loss} is better than {_and(others)}" for loss, others in better.items())
    rest = "" if told == len(pairs) else "; the other differences may be chance"
    return f"By the {what} of the held-out rows, beyond chance: {claims}{rest}."


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
