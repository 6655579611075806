"""Read a table, bundled with scikit-learn or from a file, and split it into predictors and labels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from crossentropy.training.columns import prepare_columns
from crossentropy.training.errors import InputError, listed
from crossentropy.training.labels import Class, encode_labels

BUNDLED: dict[str, Callable[..., Any]] = {
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
}
LABEL_NAMES = ("label", "target", "class", "y")


@dataclass(frozen=True)
class Dataset:
    """A table ready to be split: one row of `features` and one label for each row that was read.

    Attributes
    ----------
    features : pandas.DataFrame
        Predictors: float64 columns (NaN where missing) and text columns (NaN where missing).
    labels : numpy.ndarray
        For each row, the index of its class in `classes`.
    classes : list
        The distinct labels, sorted, as plain Python values.
    label : str
        Name of the label column.
    notices : list of str
        Remarks to the user on how the table was read.
    """

    features: pd.DataFrame
    labels: np.ndarray
    classes: list[Class]
    label: str
    notices: list[str] = field(default_factory=list)


def load_dataset(data: str, label: str | None = None) -> Dataset:
    """Read a bundled data set by name, or a CSV or Parquet file by path.

    Parameters
    ----------
    data : str
        One of the names in `BUNDLED`, or a path.
    label : str, optional
        The column to predict; by default the one named label, target, class or y.

    Raises
    ------
    InputError
        If there is no such table, it cannot be read, or a classifier cannot be trained on it.
    """
    table = _bundled(data) if data in BUNDLED else _read_file(Path(data))
    if table.empty:
        raise InputError(f"{data} holds no rows.")
    label = _label_column(table, label, data)
    labels, classes = encode_labels(table[label])
    features, notices = prepare_columns(table.drop(columns=label))
    if features.columns.empty:
        reasons = "".join(f" ({notice.rstrip('.')})" for notice in notices)
        raise InputError(f"{data} has no column left to predict {label!r} from{reasons}.")
    return Dataset(features, labels, classes, label, notices)


def _bundled(name: str) -> pd.DataFrame:
    """Load a data set of scikit-learn, with class names in its label column."""
    bunch = BUNDLED[name](as_frame=True)
    return bunch.data.assign(target=np.asarray(bunch.target_names)[bunch.target])


def _read_file(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file into a table whose columns have distinct text names."""
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if not path.is_file():
        raise InputError(
            f"There is no file {str(path)!r}, nor a bundled data set of that name ({', '.join(BUNDLED)})."
        )
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is neither a .csv nor a .parquet file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty.")
    try:
        table = readers[path.suffix.lower()](path)
    except (ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    table.columns = table.columns.map(str)
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()].unique()
        raise InputError(f"{path} has several columns of the same name: {listed(twice)}.")
    return table.reset_index(drop=True)


def _label_column(table: pd.DataFrame, label: str | None, data: str) -> str:
    """Find the name of the column to predict."""
    if label is None:
        candidates = [name for name in LABEL_NAMES if name in table.columns]
        if len(candidates) != 1:
            problem = (
                f"has {listed(candidates)}" if candidates else f"has no column named {', '.join(LABEL_NAMES)}"
            )
            raise InputError(
                f"Say which column to predict by --label: {data} {problem}; its columns are {listed(table)}."
            )
        return candidates[0]
    if label not in table.columns:
        raise InputError(f"{data} has no column {label!r}; its columns are {listed(table)}.")
    return label
