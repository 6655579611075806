"""The files of a training run."""

import json
from collections.abc import Callable
from pathlib import Path

from crossentropy.training.comparison import Comparison
from crossentropy.training.curves import draw_curves
from crossentropy.training.experiment import Run
from crossentropy.training.output import CURVES, EVALUATION, HISTORY, MODEL, PREDICTIONS, write_together
from crossentropy.training.runs.history import history
from crossentropy.training.runs.predictions import predictions_table, write_predictions
from crossentropy.training.state_file import write_state


def write_run(run: Run, out: Path, comparison: Comparison | None = None) -> None:
    """Write ``model.pt``, ``history.json``, ``evaluation.json``, ``predictions.parquet`` and ``curves.svg`` into `out`.

    The evaluation is that of the held-out rows. If the run was compared with others, ``history.json`` tells of them.

    Raises
    ------
    InputError
        If they cannot be written; then `out` is as it was.
    """
    predictions = predictions_table(run.held_out, run.log_probabilities, run.model.classes)
    evaluation = run.scores.evaluation
    assert evaluation is not None  # for type checkers
    writers: dict[str, Callable[[Path], object]] = {
        MODEL: lambda path: write_state(run.model.to_state(), path),
        HISTORY: lambda path: path.write_text(json.dumps(history(run, comparison), indent=2) + "\n"),
        EVALUATION: lambda path: path.write_text(evaluation.to_json() + "\n"),
        PREDICTIONS: lambda path: write_predictions(predictions, path),
        CURVES: lambda path: draw_curves(run, path),
    }
    write_together(writers, out)
