"""Score the rows of a source, table by table and piece by piece."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources.convert import Roles, columns_of
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.roles import find_roles
from crossentropy.evaluation._sources.table import Piece, Table
from crossentropy.evaluation._sources.workers import Work, score_on_threads
from crossentropy.evaluation.state import State

__all__ = ["add_piece", "check_scored", "score_source"]

#: Rows that are scored before there are threads, because they declare what the columns are.
ALONE = 4096


def score_source(
    source: Any,
    names: Columns,
    request: Request,
    *,
    typed_classes: bool = True,
    on_rows: Callable[[int], None] | None = None,
    scoring_of: Callable[..., Scoring] = Scoring,
) -> State:
    """Score the rows of files or of an object with an Arrow stream.

    Parameters
    ----------
    source : path, pattern, ``"-"``, address, a list of these, or object with ``__arrow_c_stream__``
    names : Columns
        The names of columns: a name, a list of names, or a pattern.
    request : Request
    typed_classes : bool
        False if the classes of the request are texts, whatever the type of the labels is.
    on_rows : callable, optional
        Is told after each piece how many rows there were so far.
    scoring_of : callable, default Scoring
        Makes what the rows of a thread go through.

    Returns
    -------
    State
    """
    read, total = Read(), 0

    def done(rows: int) -> None:
        nonlocal total
        total += rows
        if on_rows is not None:
            on_rows(total)

    works = _works(source, names, request, typed_classes, read)
    state = score_on_threads(works, done, scoring_of)
    origins = ", ".join(read.origins)
    if state is None:
        raise BadData(f"there are no rows in {origins}; pass predictions")
    if read.broken:
        state.count_bad_rows({"line": read.broken})
    check_scored(state, origins)
    return state


@dataclass
class Read:
    """What the tables that were read are called, and how many lines were left out."""

    origins: list[str] = field(default_factory=list)
    broken: int = 0


def _works(source: Any, names: Columns, request: Request, typed_classes: bool, read: Read) -> Iterator[Work]:
    """Read the rows of all tables."""
    is_first = True
    for table in open_tables(source, skip=request.on_bad_rows == "skip"):
        read.origins.append(table.words())
        found, roles = find_roles(table, names, request), None
        for piece in table.read(found.roles.names(), found.roles.numeric()):
            read.broken += piece.broken
            if piece.rows.num_rows == 0:
                continue
            parts: Iterable[Piece] = [piece]
            if is_first:
                request = found.with_classes(request, piece, typed_classes=typed_classes)
                parts = piece.divided(ALONE)
                is_first = False
            roles = roles or found.in_order(tuple(request.classes or ()))
            for part in parts:
                add_to = partial(add_piece, piece=part, roles=roles, table=table)
                yield Work(request, part.rows.num_rows, add_to)


def add_piece(scoring: Scoring, piece: Piece, roles: Roles, table: Table) -> None:
    """Score some rows of a table; what is called by a key is called so whatever file it is in."""
    columns, left_out = columns_of(piece, roles, table, skip=scoring.request.on_bad_rows == "skip")
    if roles.key is None:
        scoring.add(columns, origin=table.origin)
    else:
        try:
            scoring.add(columns)
        except BadData as error:
            raise BadData(f"{table.words()}, {error}") from None
    assert scoring.state is not None  # for type checkers
    scoring.state.count_bad_rows(left_out)


def check_scored(state: State, source: str) -> None:
    """Raise an error if there is no row that counts."""
    if state.n == 0:
        faults = ", ".join(f"{n:,} {kind}" for kind, n in sorted(state.bad_rows.items()))
        weights = "their weights are 0" if state.declaration.weighted else "there are none"
        reason = f"left out by their faults: {faults}" if faults else weights
        raise BadData(f"no row of {source} can be scored; {reason}")
