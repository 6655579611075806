"""Apply the model of a finished run to another table."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console, Group, RenderableType

from crossentropy.training.display import classes_table, scores_table
from crossentropy.training.other_table import read_rows
from crossentropy.training.progress import print_notice, progress_bar
from crossentropy.training.runs.model import ROWS_AT_ONCE, Model
from crossentropy.training.runs.predictions import predictions_table
from crossentropy.training.scores import Scores, score_classes
from crossentropy.training.tables.options import ReadOptions

MOST_LISTED = 12  # classes that are counted in the report


@dataclass(frozen=True)
class Applied:
    """Predictions for the rows of a table.

    Attributes
    ----------
    predictions : pandas.DataFrame
        See `predictions_table`.
    scores : Scores, optional
        Of the rows with labels, if there are any.
    scored : int
        The number of these rows.
    """

    predictions: pd.DataFrame
    scores: Scores | None
    scored: int


def apply_model(model: Model, data: str, options: ReadOptions, console: Console) -> Applied:
    """Predict the rows of a table, and score the predictions of those that have labels.

    Notices and, for a long table, a progress bar are shown on the console.

    Raises
    ------
    InputError
        If the table cannot be read, or its columns do not fit.
    """
    rows, notices = read_rows(data, model.fates, model.classes, options)
    notices += model.encoder.new_categories(rows.features)
    for notice in notices:
        print_notice(console, notice)
    n = len(rows.rows)
    with progress_bar(console, "row", n, shown=n > ROWS_AT_ONCE) as move:
        log_probabilities = model.log_probabilities(rows.features, lambda done: move(done, ""))
    labeled = rows.labeled
    scores = None
    if len(labeled) and rows.labels is not None:
        scores = score_classes(log_probabilities[labeled], rows.labels[labeled])
    predictions = predictions_table(rows, log_probabilities, model.classes)
    return Applied(predictions, scores, len(labeled))


def report_applied(applied: Applied, data: str, path: Path, model: Model) -> Group:
    """Format how many rows were predicted as what, and the scores if there are labels."""
    counts = Counter(applied.predictions["predicted"].tolist()).most_common()
    listed = ", ".join(f"{value} {count}" for value, count in counts[:MOST_LISTED])
    more = f", and {len(counts) - MOST_LISTED} more classes" if len(counts) > MOST_LISTED else ""
    parts: list[RenderableType] = []
    if applied.scores is not None:
        title = f"{data}: {applied.scored} rows with labels"
        parts = [
            scores_table(title, applied.scores),
            classes_table("By class", applied.scores, model.classes),
        ]
    return Group(*parts, f"{path} has the predictions of {len(applied.predictions)} rows: {listed}{more}.")
