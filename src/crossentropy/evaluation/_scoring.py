"""From columns of rows to a state: what every source of rows goes through.

A source reads some rows, makes `Columns` of them, and calls `Scoring.add`; in the end it takes `Scoring.state`. All
checks and conversions are in here, so that a row is judged alike whatever it was read from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from crossentropy._arguments.warnings import warn_user
from crossentropy._statistics.cpu.kernel import are_probabilities
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._columns import make_batch
from crossentropy.evaluation._declaration import Declaration, Label
from crossentropy.evaluation._faults import BadData, skips
from crossentropy.evaluation._values import as_array, as_label, is_missing
from crossentropy.evaluation.state import State

__all__ = ["Columns", "Request", "Scoring", "one_kind", "slices_by_name"]


@dataclass(frozen=True, eq=False)
class Columns:
    """Some rows as they were read: arrays, or lists of labels, of one length.

    Labels, clusters and slices may be `Coded`, as dictionary columns of Arrow are: they cost least.
    """

    #: (n,) or (n, C), in the order of the classes; of columns that were read one by one, ``numpy.stack(columns).T``.
    predictions: Any
    labels: Any
    weight: Any = None
    cluster: Any = None
    #: What rows are called; None numbers them, or leaves them without names if the request says so.
    key: Any = None
    slices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be scored and how; the arguments of `evaluate` that are no columns."""

    kind: str
    soft_labels: bool = False
    classes: Sequence[Label] | None = None
    positive: Label | None = None
    weighted: bool = False
    clustered: bool = False
    slices: tuple[str, ...] = ()
    clip: str | None = None
    bootstrap: int = 0
    seed: int = 0
    bins: int = 15
    worst: int = 20
    on_bad_rows: str = "error"
    sum_tolerance: float | None = None
    #: Whether rows have names or numbers that are the same in each reading.
    named: bool = True

    def __post_init__(self) -> None:
        skips(self.on_bad_rows)  # checks it
        tolerance = self.sum_tolerance
        if tolerance is not None and not (isinstance(tolerance, Real) and tolerance >= 0):
            raise ValueError(f"sum_tolerance is {tolerance!r}; pass a number of at least 0")

    def declaration(self, columns: Columns) -> Declaration:
        """Declare the columns, by the shape of the predictions of the first of them."""
        shape = np.shape(columns.predictions)
        if len(shape) not in (1, 2):
            raise BadData(f"predictions have shape {shape}; pass (n,) or (n, C)")
        return Declaration(
            self.kind,  # type: ignore[arg-type]
            class_list(self.classes, self.positive, shape, columns.labels, soft=self.soft_labels),
            one_column=len(shape) == 1,
            soft=self.soft_labels,
            weighted=self.weighted,
            clustered=self.clustered,
            slices=self.slices,
            clip=self.clip,
            bootstrap=self.bootstrap,
            seed=self.seed,
            bins=self.bins,
            worst=self.worst,
        )


class Scoring:
    """Rows that are being scored; `state` is None until the first of them.

    Parameters
    ----------
    request : Request
    threads : int, optional
        On how many threads rows are added; ``OMP_NUM_THREADS`` or as many as there are processors if left out.
    state : State, optional
        Where rows are added; a new one, as the first rows are, if left out.
    """

    def __init__(self, request: Request, *, threads: int | None = None, state: State | None = None) -> None:
        self.request, self.state = request, state
        self.threads = threads or NumpyMemory.threads()
        self.rows = 0
        #: Which piece of a source is being added; those that several threads keep are put in order by it.
        self.piece = 0

    def add(self, columns: Columns, *, first_row: int | None = None, origin: str = "") -> None:
        """Check and score some rows.

        Parameters
        ----------
        columns : Columns
        first_row : int, optional
            The number of the first of them, if they have no keys; that of rows so far if left out.
        origin : str
            Where they are from, as a file's name: a part of their names, in messages too.

        Raises
        ------
        BadData
            If a row cannot be scored and ``on_bad_rows="error"``, or columns do not fit each other.
        """
        is_first = self.state is None
        if self.state is None:
            self.state = State(self.request.declaration(columns))
        batch, counts = make_batch(
            self.state.declaration,
            columns.predictions,
            columns.labels,
            weight=columns.weight,
            cluster=columns.cluster,
            slices=[columns.slices[name] for name in self.request.slices],
            rows=columns.key,
            first_row=self.rows if first_row is None else first_row,
            origin=origin,
            on_bad_rows=self.request.on_bad_rows,
            tolerance=self.request.sum_tolerance,
        )
        if is_first and self.request.kind == "logits":
            _warn_of_probabilities(batch.predictions)
        if not self.request.named:
            batch = replace(batch, rows=None, origin="")
        self.rows += len(columns.predictions)
        self.take(batch)
        self.state.count_bad_rows(counts)

    def take(self, batch: Batch) -> None:
        """Add rows that were checked; a subclass may keep them too."""
        assert self.state is not None  # for type checkers
        self.state.update_on(self.threads, batch)


def _warn_of_probabilities(logits: Any) -> None:
    """Warn if each of the first rows lies in [0, 1] and sums to 1: probabilities score badly as logits."""
    if len(logits) and logits.ndim == 2 and are_probabilities(NumpyMemory, logits, 1):
        warn_user(
            f"each of the first {len(logits):,} rows of logits lies in [0, 1] and sums to 1, as probabilities do; "
            "pass probabilities as proba="
        )


def one_kind(**given: Any) -> tuple[str, Any]:
    """Return what the predictions are, and the predictions, of arguments of which exactly one is not None."""
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) != 1:
        passed = " and ".join(kinds) or "none of them"
        raise TypeError(
            f"pass one of proba=, logits= and log_proba=, what the predictions are; passed: {passed}"
        )
    return kinds[0], given[kinds[0]]


def slices_by_name(slices: Any, *, named: bool) -> Mapping[str, Any]:
    """Return the slice columns by name; of a source their names are what they are looked up by."""
    if named:
        return {name: name for name in ([slices] if isinstance(slices, str) else slices or ())}
    if slices is None or isinstance(slices, Mapping):
        return slices or {}
    return {"slice": slices}


def class_list(
    classes: Sequence[Label] | None,
    positive: Label | None,
    shape: tuple[int, ...],
    labels: Any,
    *,
    soft: bool,
) -> tuple[Label, ...]:
    """Return the label of each class, in the order of the columns of predictions of this shape."""
    one_column = len(shape) == 1
    if positive is not None and not one_column:
        raise ValueError(
            f"positive={positive!r} names the class of one column, and predictions have {shape[1]}; pass classes=, the "
            "label of each column in their order"
        )
    if classes is None:
        array = as_array(labels)
        if positive is not None:
            raise ValueError(f"positive={positive!r} is one of two classes; pass both in classes=")
        if array.dtype.kind in "biuf" or soft or _are_numbers(array):
            return tuple(range(2 if one_column else shape[1]))
        raise ValueError(
            f"labels are names, such as {array.reshape(-1)[:1].tolist()!r}; pass classes=, the label of each column in "
            "their order (of one column, the negative and the positive one)"
        )
    known = [as_label(x) for x in classes]
    table = tuple(x for x in known if x is not None)
    if len(table) < len(known):
        raise ValueError(f"classes has a missing value, in {list(classes)!r}; pass the label of each class")
    if positive is None:
        return table
    positive = as_label(positive)
    if positive not in table:
        raise ValueError(f"positive={positive!r} is not among classes {list(table)!r}")
    return tuple(sorted(table, key=lambda label: label == positive))


def _are_numbers(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether objects are numbers and missing values."""
    if array.dtype.kind != "O":
        return False
    return all(
        isinstance(as_label(x), (bool, int, float)) or is_missing(x) for x in array.reshape(-1).tolist()
    )
