"""The files of a training run."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import crossentropy
from crossentropy.training.curves import draw_curves
from crossentropy.training.experiment import Run
from crossentropy.training.fit import best_epoch
from crossentropy.training.labels import Class
from crossentropy.training.output import write_together
from crossentropy.training.remarks import remarks
from crossentropy.training.scores import Scores


def write_run(run: Run, out: Path) -> None:
    """Write ``model.pt``, ``history.json``, ``predictions.parquet`` and ``curves.svg`` into the folder `out`.

    Raises
    ------
    InputError
        If they cannot be written; then `out` is as it was.
    """
    writers: dict[str, Callable[[Path], object]] = {
        "model.pt": lambda path: torch.save(model_file(run), path),
        "history.json": lambda path: path.write_text(json.dumps(history_file(run), indent=2) + "\n"),
        "predictions.parquet": lambda path: predictions_file(run).to_parquet(path, index=False),
        "curves.svg": lambda path: draw_curves(run, path),
    }
    write_together(writers, out)


def model_file(run: Run) -> dict[str, object]:
    """Collect the contents of ``model.pt``: plain values and tensors, for ``torch.load(path, weights_only=True)``.

    ``state_dict`` is that of ``torch.nn.Sequential(Linear, ReLU, …, Linear)`` with layers as wide as ``hidden``; its
    inputs are made by ``ColumnEncoder.from_state(encoder)`` from the columns that ``columns`` describes (see `Fate`),
    and the probabilities of ``classes`` are softmax(softcap * tanh(logits / softcap) / temperature), without the tanh
    where ``softcap`` is None.
    """
    return {
        "state_dict": run.network.state_dict(),
        "hidden": list(run.options.hidden),
        "classes": run.dataset.classes,
        "label": run.dataset.label,
        "columns": [fate.to_json() for fate in run.dataset.fates],
        "encoder": run.encoder.to_state(),
        "temperature": run.objective.transform.temperature,
        "softcap": run.objective.transform.softcap,
        "crossentropy": crossentropy.__version__,
    }


def history_file(run: Run) -> dict[str, object]:
    """Collect the contents of ``history.json``: options, columns, notices, every epoch, scores on held-out rows."""
    return {
        "options": dataclasses.asdict(run.options),
        "rows": {part: len(rows) for part, rows in run.split._asdict().items()},
        "columns": [fate.to_json() for fate in run.dataset.fates],
        "notices": [*run.dataset.notices, *run.encoder.notices_],
        "epochs": [dataclasses.asdict(epoch) for epoch in run.history],
        "best_epoch": best_epoch(run.history).epoch,
        "held_out": _scores(run.scores, run.dataset.classes),
        "remarks": remarks(run),
        "baseline": _scores(run.baseline, run.dataset.classes)
        | {"training_entropy_nats": run.baseline_entropy},
    }


def predictions_file(run: Run) -> pd.DataFrame:
    """Collect the contents of ``predictions.parquet``: a line for each held-out row.

    Its columns: ``row`` (counted from 0 in the table that was read), ``id[column]`` for each column that names the
    row, ``label``, ``predicted``, and for each class its probability, ``p[class]``.
    """
    classes = _class_array(run.dataset.classes)
    columns = {
        "row": run.dataset.rows[run.split.test],
        **{f"id[{name}]": values.to_numpy()[run.split.test] for name, values in run.dataset.ids.items()},
        "label": classes[run.dataset.labels[run.split.test]],
        "predicted": classes[run.log_probabilities.argmax(axis=1)],
    }
    probabilities = np.exp(run.log_probabilities).T
    return pd.DataFrame(
        columns | {f"p[{value}]": p for value, p in zip(run.dataset.classes, probabilities, strict=True)}
    )


def _class_array(classes: list[Class]) -> np.ndarray:
    """Make an array of classes; whole numbers that no integer type has room for become texts."""
    numbers = [value for value in classes if type(value) is int]
    if len(numbers) < len(classes):
        return np.array(classes)
    for kind in np.int64, np.uint64:
        if np.iinfo(kind).min <= min(numbers) and max(numbers) <= np.iinfo(kind).max:
            return np.array(numbers, dtype=kind)
    return np.array([str(value) for value in numbers])


def _scores(scores: Scores, classes: list[Class]) -> dict[str, object]:
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
    return x if np.isfinite(x) else None
