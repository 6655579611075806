"""Score the rows of a source, table by table and piece by piece."""

from collections.abc import Callable
from typing import Any

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources.convert import columns_of
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.roles import find_roles
from crossentropy.evaluation._sources.table import Table
from crossentropy.evaluation.state import State

__all__ = ["score_source"]


def score_source(
    source: Any,
    names: Columns,
    request: Request,
    *,
    typed_classes: bool = True,
    on_rows: Callable[[int], None] | None = None,
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

    Returns
    -------
    State
    """
    scoring: Scoring | None = None
    counts: dict[str, int] = {}
    origins: list[str] = []
    total = 0
    skip = request.on_bad_rows == "skip"
    for table in open_tables(source, skip=skip):
        origins.append(table.words())
        found, roles = find_roles(table, names, request), None
        for piece in table.read(found.roles.names(), found.roles.numeric()):
            _count(counts, {"line": piece.broken})
            if piece.rows.num_rows == 0:
                continue
            if scoring is None:
                request = found.with_classes(request, piece, typed_classes=typed_classes)
                scoring = Scoring(request)
            roles = roles or found.in_order(tuple(request.classes or ()))
            columns, left_out = columns_of(piece, roles, table, skip=skip)
            _count(counts, left_out)
            _add(scoring, columns, table, keyed=names.key is not None)
            total += piece.rows.num_rows
            if on_rows is not None:
                on_rows(total)
    if scoring is None or scoring.state is None:
        raise BadData(f"there are no rows in {', '.join(origins)}; pass predictions")
    state = scoring.state
    state.count_bad_rows({kind: count for kind, count in counts.items() if count})
    if state.n == 0:
        faults = ", ".join(f"{n:,} {kind}" for kind, n in sorted(state.bad_rows.items()))
        reason = f"left out by their faults: {faults}" if faults else "their weights are 0"
        raise BadData(f"no row of {', '.join(origins)} can be scored; {reason}")
    return state


def _count(counts: dict[str, int], more: dict[str, int]) -> None:
    for kind, count in more.items():
        counts[kind] = counts.get(kind, 0) + count


def _add(scoring: Scoring, columns: Columns, table: Table, *, keyed: bool) -> None:
    """Score rows; what is called by a key is called so whatever file it is in."""
    if not keyed:
        scoring.add(columns, origin=table.origin)
        return
    try:
        scoring.add(columns)
    except BadData as error:
        raise BadData(f"{table.words()}, {error}") from None
