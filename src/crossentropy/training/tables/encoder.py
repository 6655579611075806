"""Turn typed columns into a network's inputs, with what the training rows say."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from crossentropy.training.tables.scaling import Scaling, fit_scaling

DATE_PARTS = ("days", "month", "day", "weekday", "hour")
#: bytes that the inputs of all categories take in the training rows, if they need not be more than `FEWEST_INPUTS`
CATEGORY_BYTES = 1 << 27
FEWEST_INPUTS = 256
#: a category that occurs less often in the training rows shares an input with others
FEWEST_ROWS = 2


@dataclass(frozen=True)
class NumberInputs:
    """A standardized number, 0 where missing, and whether it is missing if training rows miss it."""

    kind: ClassVar[str] = "number"
    name: str
    scaling: Scaling
    indicator: bool

    @property
    def names(self) -> list[str]:
        """Names of the inputs."""
        return [self.name] + [f"{self.name}[missing]"] * self.indicator

    def write(self, column: pd.Series, out: np.ndarray) -> None:
        """Write the inputs of a column into `out` (rows, inputs)."""
        values = _as_numbers(column)
        out[:, 0] = self.scaling(values)
        if self.indicator:
            out[:, 1] = np.isnan(values)


@dataclass(frozen=True)
class DateInputs:
    """The parts of a date, each a standardized number: those that vary in the training rows."""

    kind: ClassVar[str] = "date"
    name: str
    parts: tuple[str, ...]
    scalings: tuple[Scaling, ...]
    indicator: bool

    @property
    def names(self) -> list[str]:
        """Names of the inputs."""
        return [f"{self.name}[{part}]" for part in (*self.parts, *["missing"] * self.indicator)]

    def write(self, column: pd.Series, out: np.ndarray) -> None:
        """Write the inputs of a column into `out` (rows, inputs)."""
        values = _as_dates(column)
        for i, (part, scaling) in enumerate(zip(self.parts, self.scalings, strict=True)):
            out[:, i] = scaling(date_part(values, part))
        if self.indicator:
            out[:, -1] = np.isnat(values)


@dataclass(frozen=True)
class CategoryInputs:
    """A 0/1 input for each of the frequent categories, for all others together, and for missing.

    The last two are there if such training rows are; otherwise such a row is all zeros.
    """

    kind: ClassVar[str] = "category"
    name: str
    categories: tuple[str, ...]
    other: bool
    indicator: bool

    @property
    def names(self) -> list[str]:
        """Names of the inputs."""
        known = (*self.categories, *["other"] * self.other, *["missing"] * self.indicator)
        return [f"{self.name}[{category}]" for category in known]

    def write(self, column: pd.Series, out: np.ndarray) -> None:
        """Write the inputs of a column into `out` (rows, inputs), which is zero."""
        codes, found = _as_categories(column)
        place = {category: i for i, category in enumerate(self.categories)}
        rest = len(place) if self.other else -1
        of_code = np.array(
            [place.get(text, rest) for text in found] + [len(place) + self.other if self.indicator else -1]
        )
        inputs = of_code[codes]
        rows = np.flatnonzero(inputs >= 0)
        out[rows, inputs[rows]] = 1


Inputs = NumberInputs | DateInputs | CategoryInputs


class ColumnEncoder(TransformerMixin, BaseEstimator):
    """Encode the columns of a data frame as float32 inputs: numbers, dates and categories.

    Number columns are standardized (see `fit_scaling`), dates become their parts (`DATE_PARTS`: days since 1970 with
    fractions, month, day of the month, weekday from Monday 0, hour) and are standardized as numbers are, and categories
    become 0/1 inputs. Where training rows miss values, an input says so. A category needs `FEWEST_ROWS` training rows
    for an input of its own; others, and those that only other rows have, share one. If the inputs of all categories
    would take more than `category_bytes` in the training rows, and more than `FEWEST_INPUTS` a row, then the columns
    with the most categories keep the most frequent ones.

    Columns are found by name, in any order; columns that were not fitted are not looked at.

    Parameters
    ----------
    category_bytes : int
        Memory that the inputs of all categories may take in the training rows.

    Attributes
    ----------
    inputs_ : list
        For each column how it becomes inputs.
    notices_ : list of str
        What the user should know of it.
    """

    def __init__(self, category_bytes: int = CATEGORY_BYTES) -> None:
        self.category_bytes = category_bytes

    def fit(self, X: pd.DataFrame, y: object = None) -> "ColumnEncoder":
        """Learn from training rows: float64 (or any number), datetime64 and categorical (or text) columns."""
        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"X is a {type(X).__name__}; pass a pandas.DataFrame, whose columns have names and types."
            )
        kinds = {name: column_kind(column) for name, column in X.items()}
        counts = {name: _category_counts(X[name]) for name, kind in kinds.items() if kind == "category"}
        limit = self._category_limit(len(X), [int((n >= FEWEST_ROWS).sum()) for n in counts.values()])
        self.inputs_: list[Inputs] = []
        for name, kind in kinds.items():
            if kind == "category":
                self.inputs_.append(_fit_category(name, counts[name], limit, len(X)))
            else:
                self.inputs_.append(
                    fit_numbers(name, X[name]) if kind == "number" else fit_dates(name, X[name])
                )
        self.notices_ = _grouped(counts, limit)
        self.feature_names_in_ = np.array(list(kinds), dtype=object)
        self.n_features_in_ = len(kinds)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Encode rows as float32 (rows, inputs).

        Raises
        ------
        ValueError
            If a column is not there or is of another kind.
        """
        check_is_fitted(self, "inputs_")
        missing = [inputs.name for inputs in self.inputs_ if inputs.name not in X.columns]
        if missing:
            raise ValueError(f"The table has no column {', '.join(map(repr, missing))}, which training had.")
        out = np.zeros((len(X), sum(len(inputs.names) for inputs in self.inputs_)), dtype=np.float32)
        at = 0
        for inputs in self.inputs_:
            kind = column_kind(X[inputs.name])
            if kind != inputs.kind:
                raise ValueError(
                    f"Column {inputs.name!r} holds {kind} values, and {inputs.kind} values in training."
                )
            inputs.write(X[inputs.name], out[:, at : at + len(inputs.names)])
            at += len(inputs.names)
        return out

    def new_categories(self, X: pd.DataFrame) -> list[str]:
        """Tell of columns with categories that the training rows had not, in a sentence each.

        Columns in which several categories of the training rows share an input are left out: there, a new category
        cannot be told from a rare one.
        """
        sentences = []
        for inputs in self.inputs_:
            if isinstance(inputs, CategoryInputs) and not inputs.other:
                codes, found = _as_categories(X[inputs.name])
                known = set(inputs.categories)
                new = np.array([text not in known for text in found] + [False])[codes]
                if new.any():
                    sentences.append(
                        f"Column {inputs.name!r}: {int(new.sum())} of {len(X)} rows hold a category that the training "
                        f"rows do not have, such as {found[codes[new.argmax()]]!r}."
                    )
        return sentences

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Name the inputs, such as ``color[red]``."""
        check_is_fitted(self, "inputs_")
        return np.array([name for inputs in self.inputs_ for name in inputs.names], dtype=object)

    def to_state(self) -> dict[str, Any]:
        """Return what was learned as values of JSON."""
        check_is_fitted(self, "inputs_")
        columns = [{"kind": inputs.kind} | asdict(inputs) for inputs in self.inputs_]
        return {"category_bytes": self.category_bytes, "columns": columns}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ColumnEncoder":
        """Make the encoder whose `to_state` this is."""
        encoder = cls(state["category_bytes"])
        encoder.inputs_ = list(_inputs_of(state["columns"]))
        encoder.notices_ = []
        encoder.feature_names_in_ = np.array([inputs.name for inputs in encoder.inputs_], dtype=object)
        encoder.n_features_in_ = len(encoder.inputs_)
        return encoder

    def _category_limit(self, rows: int, wanted: list[int]) -> int:
        """Find the most categories that a column may have inputs for."""
        budget = max(FEWEST_INPUTS, self.category_bytes // (4 * max(rows, 1))) - len(
            wanted
        )  # with one for others
        if sum(wanted) <= budget:
            return max(wanted, default=0)
        low, high = 1, max(wanted)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if sum(min(k, middle) for k in wanted) <= budget else (low, middle - 1)
        return low


def _fit_category(name: str, counts: pd.Series, limit: int, rows: int) -> CategoryInputs:
    """Choose the categories of a column that have inputs: the `limit` most frequent."""
    frequent = counts[counts >= FEWEST_ROWS]
    kept = frequent.sort_index().sort_values(ascending=False, kind="stable")[:limit]
    return CategoryInputs(name, tuple(sorted(kept.index)), len(kept) < len(counts), bool(counts.sum() < rows))


def _grouped(counts: dict[str, pd.Series], limit: int) -> list[str]:
    """Tell of columns with more frequent categories than inputs."""
    cut = {name: int((n >= FEWEST_ROWS).sum()) for name, n in counts.items()}
    cut = {name: number for name, number in cut.items() if number > limit}
    if not cut:
        return []
    some = ", ".join(f"{name!r} ({number})" for name, number in list(cut.items())[:6])
    more = f" and {len(cut) - 6} more columns" if len(cut) > 6 else ""
    return [
        f"So that the inputs fit into memory, the {limit} most frequent categories of a column have an input each, and "
        f"the others of the column share one: {some}{more}."
    ]


def fit_numbers(name: str, column: pd.Series) -> NumberInputs:
    """Learn how a number column becomes inputs."""
    values = _as_numbers(column)
    return NumberInputs(name, fit_scaling(values), bool(np.isnan(values).any()))


def fit_dates(name: str, column: pd.Series) -> DateInputs:
    """Learn how a date column becomes inputs."""
    values = _as_dates(column)
    scalings = {part: fit_scaling(date_part(values, part)) for part in DATE_PARTS}
    varying = {part: scaling for part, scaling in scalings.items() if scaling.low < scaling.high}
    return DateInputs(name, tuple(varying), tuple(varying.values()), bool(np.isnat(values).any()))


def date_part(dates: np.ndarray, part: str) -> np.ndarray:
    """Compute a part of dates (datetime64[us]) as float64, NaN where missing."""
    days = dates.astype("datetime64[D]")
    micro = (dates - days).astype(np.float64)
    months = dates.astype("datetime64[M]")
    whole = days.astype(np.int64)
    values = {
        "days": lambda: whole + micro / 86_400e6,
        "month": lambda: months.astype(np.int64) % 12 + 1.0,
        "day": lambda: (days - months).astype(np.int64) + 1.0,
        "weekday": lambda: (whole + 3) % 7 + 0.0,  # 1970-01-01 was a Thursday
        "hour": lambda: micro / 3600e6,
    }[part]()
    return np.where(np.isnat(dates), np.nan, values)


def column_kind(column: pd.Series) -> str:
    """Name the kind of a column from its type: ``"number"``, ``"date"`` or ``"category"``."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return "number"
    return "category"


def _inputs_of(columns: list[dict[str, Any]]) -> Iterator[Inputs]:
    """Make inputs from their state."""
    for column in columns:
        told = {key: value for key, value in column.items() if key != "kind"}
        if column["kind"] == "number":
            yield NumberInputs(**told | {"scaling": Scaling(**told["scaling"])})
        elif column["kind"] == "date":
            scalings = tuple(Scaling(**scaling) for scaling in told["scalings"])
            yield DateInputs(**told | {"parts": tuple(told["parts"]), "scalings": scalings})
        else:
            yield CategoryInputs(**told | {"categories": tuple(told["categories"])})


def _as_numbers(column: pd.Series) -> np.ndarray:
    """Convert a number column to float64, NaN where missing."""
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _as_dates(column: pd.Series) -> np.ndarray:
    """Convert a date column to datetime64[us] in UTC."""
    return column.to_numpy(dtype="datetime64[us]")


def _as_categories(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Find codes (−1 where missing) and texts of a column of categories."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64), [str(text) for text in column.cat.categories]
    codes, found = pd.factorize(column)
    return codes, [str(text) for text in found]


def _category_counts(column: pd.Series) -> pd.Series:
    """Count the rows of each category that occurs."""
    codes, found = _as_categories(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(found))
    return pd.Series(
        counts[counts > 0], index=pd.Index(np.array(found, dtype=object)[counts > 0], dtype=object)
    )
