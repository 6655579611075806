"""Read another table as the one that a model was trained on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crossentropy.training.data import read_any
from crossentropy.training.labels import Class, find_classes
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.match import match_columns
from crossentropy.training.tables.options import ReadOptions


@dataclass(frozen=True)
class Rows:
    """Rows to predict.

    Attributes
    ----------
    features : pandas.DataFrame
        The predictors, typed as those of training.
    labels : numpy.ndarray, optional
        Indices into the classes, −1 where there is no label or one that training had not; None without a label column.
    rows : numpy.ndarray
        The number of each row in its table, from 0.
    ids : pandas.DataFrame
        The columns that name a row.
    """

    features: pd.DataFrame
    labels: np.ndarray | None
    rows: np.ndarray
    ids: pd.DataFrame

    @property
    def labeled(self) -> np.ndarray:
        """The places of the rows that have a label."""
        return np.empty(0, dtype=np.int64) if self.labels is None else np.flatnonzero(self.labels >= 0)

    def take(self, places: np.ndarray) -> "Rows":
        """Return the rows at these places."""
        labels = None if self.labels is None else self.labels[places]
        return Rows(self.features.iloc[places], labels, self.rows[places], self.ids.iloc[places])


def read_rows(
    data: str, fates: list[Fate], classes: list[Class], options: ReadOptions
) -> tuple[Rows, list[str]]:
    """Read a bundled data set or a file whose columns are those of `fates`.

    Returns
    -------
    rows : Rows
    notices : list of str
        How the table was read, and what in it does not fit.

    Raises
    ------
    InputError
        If there is no such table, it cannot be read, or its columns do not fit.
    """
    table = read_any(data, options)
    features, found = match_columns(table, fates)
    notices = [*table.notices, *found]
    label = next(fate.column for fate in fates if fate.use == "label")
    labels = None
    if label in table.columns:
        labels = find_classes(table.columns[label], classes, merged=options.merge_rare)
        without = int((labels < 0).sum())
        if without:
            rows = "1 row has" if without == 1 else f"{without} rows have"
            notices.append(
                f"{data}: {rows} no label in column {label!r}, or one that training did not have: "
                "predicted, and not scored."
            )
    ids = {
        fate.column: table.columns[fate.column].to_pandas()
        for fate in fates
        if fate.use == "id" and fate.column in table.columns
    }
    n = table.rows
    return Rows(features, labels, np.arange(n), pd.DataFrame(ids, index=range(n))), notices
