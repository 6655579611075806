"""A table of predictions: a line for each row."""

from pathlib import Path

import numpy as np
import pandas as pd

from crossentropy.training.labels import Class, class_array
from crossentropy.training.other_table import Rows


def predictions_table(rows: Rows, log_probabilities: np.ndarray, classes: list[Class]) -> pd.DataFrame:
    """Collect predictions, a line for each row.

    Its columns: ``row`` (counted from 0 in the table that was read), ``id[column]`` for each column that names the
    row, ``label`` if there are labels, ``predicted``, and for each class its probability, ``p[class]``.
    """
    values = class_array(classes)
    columns = {"row": rows.rows, **{f"id[{name}]": ids.to_numpy() for name, ids in rows.ids.items()}}
    if rows.labels is not None:
        columns["label"] = _labels(values, rows.labels)
    columns["predicted"] = values[log_probabilities.argmax(axis=1)]
    probabilities = np.exp(log_probabilities).T
    return pd.DataFrame(columns | {f"p[{value}]": p for value, p in zip(classes, probabilities, strict=True)})


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write a table as the suffix says; the numbers in CSV are read back to the bit."""
    if path.suffix.lower() == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def _labels(values: np.ndarray, labels: np.ndarray) -> np.ndarray | pd.Series:
    """Write labels as classes, missing where there is none."""
    if (labels >= 0).all():
        return values[labels]
    return pd.Series(pd.Categorical.from_codes(labels, categories=values.tolist()))
