"""The job that an engine runs on each partition of its rows, and the sum of its results."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from crossentropy._arguments.words import listed
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources.convert import Roles, is_list
from crossentropy.evaluation._sources.labels import kind_of
from crossentropy.evaluation._sources.roles import TableRoles, find_roles
from crossentropy.evaluation._sources.score import add_piece, check_scored
from crossentropy.evaluation._sources.table import Piece, Table, pieces, stored
from crossentropy.evaluation._states import merged, state_of
from crossentropy.evaluation.language_state import LanguageState
from crossentropy.evaluation.state import State

__all__ = ["Job", "Sum", "add_results", "make_job", "partition_table", "total"]


class Sum:
    """The state of some rows, or the error of one that cannot be scored; sums travel as record batches."""

    def __init__(self, state: State | LanguageState | None = None, error: str | None = None) -> None:
        self.state, self.error = state, error

    def add(self, results: pa.RecordBatch | pa.Table) -> None:
        """Add sums that `to_arrow` returned."""
        for state in results.column("state").to_pylist():
            if state is not None:
                self.state = merged(self.state, state_of(state))
        self.error = next((x for x in [self.error, *results.column("error").to_pylist()] if x), None)

    def to_arrow(self) -> pa.RecordBatch:
        """Return a row: the state's bytes and the error, each of which may be null."""
        state = None if self.state is None else self.state.to_bytes()
        columns = {"state": pa.array([state], pa.binary()), "error": pa.array([self.error], pa.string())}
        return pa.record_batch(columns)


@dataclass(frozen=True)
class Job:
    """How the rows of each partition are scored."""

    request: Request
    roles: Roles

    def columns(self) -> list[str]:
        """Return the columns that rows need to have, in their order."""
        return self.roles.names()

    def score(self, batches: Iterable[pa.RecordBatch], origin: str) -> Sum:
        """Score the rows of a partition, which messages call `origin`."""
        scoring, names = Scoring(self.request), self.columns()
        table = partition_table(origin, names, batches)
        try:
            for piece in table.read(names, self.roles.numeric()):
                add_piece(scoring, piece, self.roles, table)
        except BadData as error:
            return Sum(error=str(error))
        return Sum(scoring.state)


def make_job(schema: pa.Schema, names: Columns, request: Request) -> tuple[Job, State]:
    """Find columns and classes, and check all that no row is needed for.

    Returns
    -------
    (Job, State)
        The job, which has the same declaration in each partition, and its state of no rows.
    """
    table = partition_table("", schema.names, ())
    found = find_roles(table, names, request)
    rows = pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)
    piece = Piece(stored(rows), np.arange(0))
    if request.classes is None:
        _check_classes_follow(found, piece, request)
    request = replace(request, named=names.key is not None)
    request = found.with_classes(request, piece, typed_classes=True)
    job = Job(request, found.in_order(tuple(request.classes or ())))
    scoring = Scoring(request)
    add_piece(scoring, piece, job.roles, table)
    assert scoring.state is not None  # for type checkers
    return job, scoring.state


def total(start: State, results: Iterable[pa.RecordBatch | pa.Table], words: str) -> State:
    """Add up what the job returned for the partitions of a source that messages call `words`."""
    add_results(start, results)
    check_scored(start, words)
    return start


def add_results(start: State | LanguageState, results: Iterable[pa.RecordBatch | pa.Table]) -> None:
    """Add what a job returned for partitions to a state; the first error is raised."""
    whole = Sum(start)
    for result in results:
        whole.add(result)
        if whole.error is not None:
            raise BadData(whole.error)


def partition_table(origin: str, names: list[str], batches: Iterable[pa.RecordBatch]) -> Table:
    """Return the rows of a partition as a table, which messages call `origin`."""
    return Table(origin, names, lambda chosen, _: pieces(batch.select(list(chosen)) for batch in batches))


def _check_classes_follow(found: TableRoles, piece: Piece, request: Request) -> None:
    """Raise an error if classes would be found in rows: partitions may have different ones."""
    names = found.predictions.names
    if len(names) > 1:
        return
    lists = is_list(piece.rows.column(names[0]).type)
    labels = piece.rows.column(found.labels.names[0])
    texts = not request.soft_labels and kind_of(labels, is_text=False) == "text"
    if lists or texts or request.positive is not None:
        order = "in the order of the numbers in the lists" if lists else "the negative and the positive one"
        raise ValueError(
            f"the names of the columns {listed(found.roles.names())} do not say what the classes are, and partitions "
            f"may have different labels; pass classes=, {order}"
        )
