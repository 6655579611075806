"""Say before training what may make a held-out score mean less than it seems to."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from crossentropy.training.errors import counted
from crossentropy.training.tables.columns import Column
from crossentropy.training.tables.identify import NEARLY_ALL, named_as_id, rises_with_rows
from crossentropy.training.tables.repeats import repeated_rows, value_codes
from crossentropy.training.tables.scaling import fit_scaling, reach

#: a predictor gives the label away if it alone is wrong in less than these shares, of rows and of the baseline's errors
ERRORS, OF_BASELINE = 0.01, 0.1
_FEWEST_ROWS = 40
_CELLS = 4_000_000


def suspicions(columns: dict[str, Column], labels: np.ndarray, label: str, rows: np.ndarray) -> list[str]:
    """Look at predictors beside the labels, indices of classes; `rows` are their numbers in the table, for the user."""
    found = [
        *_sorted_rows(labels),
        *repeated_rows((column.values for column in columns.values()), labels),
    ]
    found += _rising(columns)
    found += _repeated_ids(columns)
    found += _extreme_numbers(columns, rows)
    found += [
        f"Column {name!r} alone tells {label!r} in {share:.1%} of rows. If it is not known before the label is, "
        "leave it out by --drop."
        for name, share in _leaks(columns, labels)
    ]
    return found


def _sorted_rows(labels: np.ndarray) -> Iterator[str]:
    """Tell of rows in blocks of one class: whatever drifts along the rows then tells the label."""
    shares = np.bincount(labels) / len(labels)
    expected = (len(labels) - 1) * (1 - (shares**2).sum())
    changes = int((np.diff(labels) != 0).sum())
    if len(labels) >= _FEWEST_ROWS and changes < 0.2 * expected:
        yield (
            f"The rows are sorted by their label (from row to row it changes {counted(changes, 'time')}, and in random "
            f"order about {counted(round(expected), 'time')}): a column whose values drift along the rows gives the "
            "label away."
        )


def _rising(columns: dict[str, Column]) -> Iterator[str]:
    """Tell of numbers and dates in the order of the rows."""
    names = [name for name, column in columns.items() if rises_with_rows(column)]
    if names:
        yield (
            f"{_listed(names)} rises or falls with every row: held-out rows lie between training rows, which rows of "
            "the future would not."
        )


def _repeated_ids(columns: dict[str, Column]) -> Iterator[str]:
    """Tell of ids that several rows have."""
    for name, column in columns.items():
        if (
            named_as_id(name)
            and column.kind != "date"
            and 20 < column.distinct < NEARLY_ALL * len(column.values)
        ):
            yield (
                f"{_listed([name])} is called an id and has {column.distinct} values in {len(column.values)} rows: of "
                "rows with the same one, some are in training and some are held out. If it only names something, leave "
                "it out by --id or --drop."
            )


def _extreme_numbers(columns: dict[str, Column], rows: np.ndarray) -> Iterator[str]:
    """Tell of numbers that are brought to the limit of `reach`."""
    for name, column in columns.items():
        if column.kind != "number":
            continue
        values = column.values.to_numpy()
        low, high = reach(values)
        extreme = np.flatnonzero((values < low) | (values > high))
        if len(extreme):
            row = extreme[np.abs(values[extreme]).argmax()]
            cells = counted(len(extreme), "extreme number")
            yield (
                f"Column {name!r} holds {cells}, such as {values[row]:g} in row {rows[row]} (the first row is 0). "
                f"Numbers below {low:.4g} or above {high:.4g} do not count in its mean and deviation, and are moved "
                "closer to the other numbers."
            )


def _leaks(columns: dict[str, Column], labels: np.ndarray) -> Iterator[tuple[str, float]]:
    """Find predictors that alone tell the label of other rows, and the share of rows in which they do."""
    rows = min(len(labels), max(1000, _CELLS // max(len(columns), 1)), 20_000)
    if rows < _FEWEST_ROWS or not columns:
        return
    drawn = np.random.default_rng(0).permutation(len(labels))[:rows]
    learn, judge = drawn[: rows // 2], drawn[rows // 2 :]
    majority = np.bincount(labels[learn]).argmax()
    baseline = float((labels[judge] != majority).mean())
    for name, column in columns.items():
        if column.kind == "category":
            guesses = _majority(value_codes(column.values), labels, learn, judge)
        else:
            guesses = _tree(_standardized(column), labels, learn, judge)
        wrong = float((guesses != labels[judge]).mean())
        if wrong <= min(ERRORS, OF_BASELINE * baseline):
            yield name, 1 - wrong


def _majority(codes: np.ndarray, labels: np.ndarray, learn: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Predict the most frequent label of each category."""
    pairs = pd.DataFrame({"code": codes[learn], "label": labels[learn]}).value_counts().reset_index()
    best = pairs.drop_duplicates("code").set_index("code")["label"]
    return best.reindex(codes[judge], fill_value=-1).to_numpy()


def _tree(values: np.ndarray, labels: np.ndarray, learn: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Predict by a small tree on one column."""
    leaves = max(16, 2 * int(labels.max() + 1))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0)
    return tree.fit(values[learn, None], labels[learn]).predict(values[judge, None])


def _standardized(column: Column) -> np.ndarray:
    """Give numbers or dates as float32 with their median at 0, which a tree computes in."""
    values = column.values
    numbers = (
        values.to_numpy().astype("datetime64[us]").astype(float)
        if column.kind == "date"
        else values.to_numpy()
    )
    numbers = np.where(values.isna(), np.nan, numbers)
    scaling = fit_scaling(numbers)
    return (
        ((np.clip(numbers, -1e300, 1e300) - scaling.center) / scaling.scale)
        .clip(-1e30, 1e30)
        .astype(np.float32)
    )


def _listed(names: list[str]) -> str:
    """Write one or more columns at the head of a sentence."""
    return (
        f"Column {names[0]!r}"
        if len(names) == 1
        else f"Each of the columns {', '.join(map(repr, names[:6]))}"
    )
