"""Read a table, bundled with scikit-learn or from a file, and split it into predictors and labels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn import datasets

from crossentropy._arguments.words import listed, similar
from crossentropy.training.errors import InputError
from crossentropy.training.labels import Class, encode_labels, keep_classes
from crossentropy.training.tables.describe import describe_predictors
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.raw import RawTable
from crossentropy.training.tables.read import read_table
from crossentropy.training.tables.source import BUNDLED
from crossentropy.training.tables.suspicions import suspicions

LABEL_NAMES = ("label", "target", "class", "y")


@dataclass(frozen=True)
class Dataset:
    """A table ready to be split: one row of `features` and one label for each row that is learned from.

    Attributes
    ----------
    features : pandas.DataFrame
        Predictors: float64 columns (NaN where missing), categories, and datetime64.
    labels : numpy.ndarray
        For each row, the index of its class in `classes`.
    classes : list
        The distinct labels, sorted, as plain Python values.
    label : str
        Name of the label column.
    fates : list of Fate
        What became of each column of the table.
    notices : list of str
        Remarks to the user: how the table was read, and what is suspicious in it.
    rows : numpy.ndarray
        The number of each row in the table that was read, from 0.
    ids : pandas.DataFrame
        The columns that name a row, chosen by the user or found to be ids.
    """

    features: pd.DataFrame
    labels: np.ndarray
    classes: list[Class]
    label: str
    fates: list[Fate]
    notices: list[str]
    rows: np.ndarray
    ids: pd.DataFrame = field(default_factory=pd.DataFrame)


def load_dataset(data: str, label: str | None = None, options: ReadOptions | None = None) -> Dataset:
    """Read a bundled data set by name, or a table from a file (see `read_table`).

    Parameters
    ----------
    data : str
        One of the names in `BUNDLED`, or a path.
    label : str, optional
        The column to predict; by default the one named label, target, class or y.
    options : ReadOptions, optional
        How to read it.

    Raises
    ------
    InputError
        If there is no such table, it cannot be read, or a classifier cannot be trained on it.
    """
    options = options or ReadOptions()
    table = read_any(data, options)
    label = _label_column(table, label, data)
    table_rows = table.rows
    _check_choices(table, label, options, data)
    labels, classes = encode_labels(table.columns[label], label, as_text=label in options.texts)
    rows, labels, classes, merged = keep_classes(labels, classes, options.min_class, merge=options.merge_rare)
    order = list(table.columns)
    columns, named, fates = describe_predictors(table, label, options)
    fates.insert(order.index(label), Fate(label, "label", distinct=len(classes)))
    if not columns:
        reasons = "".join(
            f" ({fate.column!r} is left out: {fate.remarks[0]})" for fate in fates if fate.remarks
        )
        raise InputError(f"{data} has no column left to predict {label!r} from{reasons}.")
    if merged and not options.merge_rare:
        columns = {name: column.of_rows(rows) for name, column in columns.items()}
    notices = [*table.notices, *([merged] if merged else [])]
    notices += [] if data in BUNDLED else suspicions(columns, labels, label, rows)
    features = pd.DataFrame({name: column.values for name, column in columns.items()}, copy=False)
    ids = pd.DataFrame({name: values.to_pandas() for name, values in named.items()}, index=range(table_rows))
    return Dataset(features, labels, classes, label, fates, notices, rows, ids.iloc[rows])


def read_any(data: str, options: ReadOptions) -> RawTable:
    """Read a bundled data set by name, or a table from a file."""
    return _bundled(data) if data in BUNDLED else read_table(Path(data), options)


def _bundled(name: str) -> RawTable:
    """Load a data set of scikit-learn, with class names in its label column."""
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.data.assign(target=np.asarray(bunch.target_names)[bunch.target])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return RawTable(dict(zip(table.column_names, table.columns, strict=True)))


def _check_choices(table: RawTable, label: str, options: ReadOptions, data: str) -> None:
    """Raise InputError if an option names a column that is not there, or leaves out the label."""
    for option, names in (
        ("drop", options.drop),
        ("id", options.ids),
        ("text", options.texts),
        ("keep", options.keep),
    ):
        unknown = [name for name in names if name not in table.columns]
        if unknown:
            raise InputError(
                f"--{option}: {data} has no column {listed(unknown)}; its columns are {listed(table.columns)}."
                f"{similar(unknown[0], table.columns)}"
            )
        if label in names and option != "text":
            raise InputError(f"--{option} {label} is not possible: it is the column to predict.")
    for first, second, both in (
        ("drop", "id", {*options.drop} & {*options.ids}),
        ("drop", "keep", {*options.drop} & {*options.keep}),
        ("id", "keep", {*options.ids} & {*options.keep}),
    ):
        if both:
            raise InputError(f"--{first} and --{second} both name {listed(sorted(both))}: pass one of them.")


def _label_column(table: RawTable, label: str | None, data: str) -> str:
    """Find the name of the column to predict."""
    columns = list(table.columns)
    if label is None:
        candidates = [name for name in LABEL_NAMES if name in columns]
        if len(candidates) != 1:
            problem = (
                f"has {listed(candidates)}"
                if candidates
                else f"has no column named {', '.join(LABEL_NAMES[:-1])} or {LABEL_NAMES[-1]}"
            )
            raise InputError(
                f"Say which column to predict by --label: {data} {problem}; its columns are {listed(columns)}."
            )
        return candidates[0]
    if label not in columns:
        raise InputError(
            f"{data} has no column {label!r}; its columns are {listed(columns)}.{similar(label, columns)}"
        )
    return label
