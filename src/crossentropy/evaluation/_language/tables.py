"""From tables that PyArrow reads to `Reading`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossentropy._arguments.words import listed
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._language.arrays import reading_of_rows
from crossentropy.evaluation._language.counting import counted, with_counts
from crossentropy.evaluation._language.names import Names
from crossentropy.evaluation._language.objects import ObjectReader
from crossentropy.evaluation._language.texts import Reading
from crossentropy.evaluation._sources.columns import find_columns
from crossentropy.evaluation._sources.convert import Cells, is_list, values_of
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.table import Piece, Table

__all__ = ["columns_of", "read_source", "readings_of"]

Array = np.ndarray[Any, Any]


def read_source(source: Any, names: Names, objects: ObjectReader, *, skip: bool) -> Iterator[Reading | int]:
    """Read files, or an object with an Arrow stream; between the rows, how many broken lines were left out.

    Parameters
    ----------
    source : path, pattern, ``"-"``, address, a list of these, or object with ``__arrow_c_stream__``
    names : Names
    objects : ObjectReader
        Reads JSON lines.
    skip : bool
    """
    for table in open_tables(source, skip=skip):
        known = set(names.used()) <= set(table.names)
        if table.objects is not None and (names.log_probs is None or not known):
            yield from objects.read(table.objects(), table.origin)
            continue
        yield from readings_of(table, names)


def readings_of(table: Table, names: Names) -> Iterator[Reading | int]:
    """Read a table; between the rows, how many broken lines were left out."""
    if names.log_probs is None:
        raise ValueError(
            f"{table.words()} is a table; pass log_probs=, the name of its column of log-probabilities. Its "
            f"columns are {listed(table.names)}"
        )
    columns = columns_of(table, names)
    numeric = frozenset(name for name in (columns.log_probs, *columns.counts().values()) if name is not None)
    for piece in table.read(columns.used(), numeric):
        if piece.broken:
            yield piece.broken
        if piece.rows.num_rows:
            yield _reading(piece, columns, table)


def columns_of(table: Table, names: Names) -> Names:
    """Return the names as the table has them; a name that it has not is an error."""
    found = {
        role: name if name is None else find_columns([name], table).names[0]
        for role, name in vars(names).items()
    }
    return Names(**found)


def _reading(piece: Piece, names: Names, table: Table) -> Reading:
    """Convert the rows of a piece."""
    cells = Cells(piece.rows, table)
    assert names.log_probs is not None  # for type checkers
    column = piece.rows.column(names.log_probs)
    lengths = None
    if is_list(column.type):
        values, missing, lengths = _lists(names.log_probs, column, cells, table)
    else:
        values, missing = _numbers(names.log_probs, cells)
    counts = {name: None if x is None else _numbers(x, cells)[0] for name, x in names.counts().items()}
    sums = names.tokens is not None
    if names.text is not None:
        text = _texts(names.text, piece.rows.column(names.text), table)
        counts = with_counts(counts, _counted(text, words=sums or lengths is not None))
    for name in (names.text, names.document):
        if name is not None:
            cells.no_nulls(name)
    return reading_of_rows(
        values,
        missing,
        lengths,
        piece.row_numbers(),
        counts,
        None if names.document is None else hash_values(values_of(piece.rows.column(names.document), table)),
        sums=sums,
        origin=table.origin,
        faults=cells.faults,
    )


def _numbers(name: str, cells: Cells) -> tuple[Array, Array]:
    """Return numbers as float64, and where there are none: that is no fault of a log-probability."""
    known = len(cells.faults)
    values = np.ascontiguousarray(cells.numbers((name,)), np.float64)
    missing = np.zeros(len(values), bool)
    for fault in cells.faults[known:]:
        if fault.kind == "null":
            missing |= fault.rows
    cells.faults[known:] = [fault for fault in cells.faults[known:] if fault.kind != "null"]
    return values, missing


def _lists(name: str, column: pa.Array, cells: Cells, table: Table) -> tuple[Array, Array, Array]:
    """Return the numbers of all lists, where there are none, and how many each list has."""
    cells.no_nulls(name)
    lengths = np.asarray(pc.list_value_length(column).fill_null(0)).astype(np.int64)
    flat = column.flatten()
    kind = flat.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise BadData(f"column {name!r} of {table.words()} has type {column.type}; pass lists of numbers")
    missing = np.asarray(flat.is_null().to_numpy(zero_copy_only=False))
    values = flat.cast(pa.float64()).fill_null(0.0)
    return np.ascontiguousarray(values), missing, lengths


def _texts(name: str, column: pa.Array, table: Table) -> pa.Array:
    """Return a column of texts as Arrow's large strings."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in is_text):
        raise BadData(f"column {name!r} of {table.words()} has type {column.type}; pass a column of texts")
    return column.cast(pa.large_string())


def _counted(text: pa.Array, *, words: bool) -> dict[str, Array | None]:
    """Count as `counted` does; Arrow counts bytes and characters."""
    if words:
        return counted(text.to_pylist(), words=True)
    bytes_, characters = (
        count(text).cast(pa.float64()).to_numpy(zero_copy_only=False)
        for count in (pc.binary_length, pc.utf8_length)
    )
    return {"bytes": bytes_, "characters": characters}
