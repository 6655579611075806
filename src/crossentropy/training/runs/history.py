"""The notices and measures of a run, as values of JSON."""

import dataclasses
import math
from typing import Any

import crossentropy
from crossentropy.training.comparison import Comparison, Difference, conclusions
from crossentropy.training.experiment import Run
from crossentropy.training.labels import Class
from crossentropy.training.remarks import remarks, selection
from crossentropy.training.scores import Scores
from crossentropy.training.trials import SEARCHED, Tuning, found


def history(run: Run, comparison: Comparison | None = None) -> dict[str, Any]:
    """Collect options, columns, all notices, every epoch, and scores on the held-out rows.

    If the run was compared with others, their scores and options are there too.
    """
    classes = run.model.classes
    other = "with_weights" if run.options.correct_weights else "without_weights"
    return {
        "crossentropy": crossentropy.__version__,
        "options": run.options.to_json(),
        "rows": {
            "train": len(run.split.train),
            "validation": len(run.split.validation),
            "test": len(run.log_probabilities),
        },
        "columns": [fate.to_json() for fate in run.model.fates],
        "notices": run.notices,
        "class_weights": run.model.classifier.class_weight_.tolist() if run.model.weighs_classes else None,
        "epochs": _epochs(run),
        "best_epoch": run.best.epoch,
        "stopped": run.stopped,
        "rows_per_second": _number(run.rows_per_second),
        "held_out": _scores(run.scores, classes),
        **({} if run.other_scores is None else {f"held_out_{other}": _scores(run.other_scores, classes)}),
        "baseline": _scores(run.baseline, classes) | {"training_entropy_nats": run.baseline_entropy},
        "selection": selection(run),
        "remarks": remarks(run),
        **({} if run.tuning is None else {"tuning": _tuning(run.tuning)}),
        **({} if comparison is None else {"comparison": _comparison(comparison)}),
    }


def _epochs(run: Run) -> list[dict[str, Any]]:
    """List what was measured in each epoch."""
    return [{name: _number(x) for name, x in dataclasses.asdict(epoch).items()} for epoch in run.history]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """List the scores of all runs on the same held-out rows, and the differences to the first one."""
    first = comparison.runs[0]
    nats, hits = comparison.log_loss_differences(first), comparison.accuracy_differences(first)
    return {
        "measure": comparison.measure,
        "kept": comparison.kept.given_loss,
        "reference": first.given_loss,
        "runs": [
            {
                "loss": run.given_loss,
                "options": run.options.to_json(),
                "epochs": _epochs(run),
                "best_epoch": run.best.epoch,
                "rows_per_second": _number(run.rows_per_second),
                "held_out": _scores(run.scores, run.model.classes),
                "log_loss_difference": _difference(nats[i]),
                "accuracy_difference": _difference(hits[i]),
                "remarks": remarks(run),
                **({} if run.tuning is None else {"tuning": _tuning(run.tuning)}),
            }
            for i, run in enumerate(comparison.runs)
        ],
        "failed": comparison.failed,
        "conclusions": conclusions(comparison),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    """Convert a difference for JSON."""
    mean, half = difference.mean, difference.half_width
    return {"mean": _number(mean), "interval": [_number(mean - half), _number(mean + half)]}


def _tuning(tuning: Tuning) -> dict[str, Any]:
    """List the trials of a search."""
    return {
        "measure": tuning.measure,
        "trials": [
            {
                **{name: trial.options.to_json()[name] for name in SEARCHED},
                "validation": _number(trial.value),
                "best_epoch": trial.best_epoch,
                "epochs": trial.epochs,
            }
            for trial in tuning.trials
        ],
        "best": tuning.trials.index(tuning.best),
        "found": found(tuning),
    }


def _scores(scores: Scores, classes: list[Class]) -> dict[str, Any]:
    """Convert scores for JSON."""
    low, high = scores.interval
    return {
        "log_loss_nats": _number(scores.nats),
        "log_loss_interval": [_number(low), _number(high)],
        "log_loss_bits": _number(scores.bits),
        "perplexity": _number(scores.perplexity),
        "accuracy": _number(scores.accuracy),
        "balanced_accuracy": _number(scores.balanced_accuracy),
        "average_precision": _number(scores.average_precision),
        "classes": [
            {"class": value} | {name: _number(x) for name, x in dataclasses.asdict(of_class).items()}
            for value, of_class in zip(classes, scores.classes, strict=True)
        ],
    }


def _number(x: float) -> float | None:
    """Return a number for JSON, which has no infinity and no NaN: None instead."""
    return x if math.isfinite(x) else None
