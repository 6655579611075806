"""What was said and measured in a run, as values of JSON."""

import dataclasses
import math
from typing import Any

import crossentropy
from crossentropy.training.experiment import Run
from crossentropy.training.labels import Class
from crossentropy.training.remarks import remarks, selection
from crossentropy.training.scores import Scores


def history(run: Run) -> dict[str, Any]:
    """Collect options, columns, all that was said, every epoch, and scores on the held-out rows."""
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
        "epochs": [
            {name: _number(x) for name, x in dataclasses.asdict(epoch).items()} for epoch in run.history
        ],
        "best_epoch": run.best.epoch,
        "stopped": run.stopped,
        "held_out": _scores(run.scores, classes),
        **({} if run.other_scores is None else {f"held_out_{other}": _scores(run.other_scores, classes)}),
        "baseline": _scores(run.baseline, classes) | {"training_entropy_nats": run.baseline_entropy},
        "selection": selection(run),
        "remarks": remarks(run),
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
