"""From the rows that a table has read to `Columns`; cells that are no values are found here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._faults import SKIPPING, BadData, Fault
from crossentropy.evaluation._scoring import Columns
from crossentropy.evaluation._sources.labels import (
    NO_LABEL,
    NO_NUMBER,
    coded,
    float_of,
    label_column,
    single,
    value_of,
)
from crossentropy.evaluation._sources.table import Piece, Table

__all__ = ["Cells", "Roles", "columns_of", "is_list", "predictions_of", "refuse_others", "values_of"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Roles:
    """Which columns hold what."""

    predictions: tuple[str, ...]
    labels: tuple[str, ...]
    weight: str | None = None
    cluster: str | None = None
    key: str | None = None
    #: The column of each slice column of the request.
    slices: Mapping[str, str] = field(default_factory=dict)
    #: Whether labels are distributions.
    soft: bool = False
    #: In the order of the predictions; none until they are known.
    classes: tuple[Label, ...] = ()

    def names(self) -> list[str]:
        """Return all columns, each once."""
        single = [name for name in (self.weight, self.cluster, self.key) if name is not None]
        return list(dict.fromkeys([*self.predictions, *self.labels, *single, *self.slices.values()]))

    def numeric(self) -> frozenset[str]:
        """Return the columns that hold numbers and nothing else."""
        masses = self.labels if self.soft else ()
        return frozenset([*self.predictions, *masses, *([self.weight] if self.weight else [])])


def columns_of(piece: Piece, roles: Roles, table: Table, *, skip: bool) -> tuple[Columns, dict[str, int]]:
    """Convert rows; those with cells that are no values are an error, or are left out.

    Returns
    -------
    (Columns, dict of str to int)
        The rows, and how many were left out for each fault: "null", "ragged", "number".
    """
    reading = Cells(piece.rows, table)
    width = len(roles.classes)
    predictions = reading.numbers(roles.predictions, width)
    weight = None if roles.weight is None else reading.numbers((roles.weight,))
    masses = reading.numbers(roles.labels, width) if roles.soft else None
    if not roles.soft:
        reading.no_nulls(roles.labels[0], NO_LABEL if not isinstance(roles.classes[0], str) else ("",))
    for name in (roles.cluster, roles.key):
        if name is not None:
            reading.no_nulls(name)
    for name in (roles.cluster, roles.key, *roles.slices.values()):
        if name is not None:
            single(piece.rows.column(name), name)
    counts: dict[str, int] = {}
    kept = _kept(reading, weight, piece, table, counts, skip=skip)
    rows, numbers = piece.rows, piece.numbers
    if kept is not None:
        rows, numbers = rows.filter(pa.array(kept)), piece.row_numbers()[kept]
        predictions = predictions[kept]
        weight = None if weight is None else weight[kept]
        masses = None if masses is None else masses[kept]
    labels: Any = masses
    if not roles.soft:
        labels = label_column(rows.column(roles.labels[0]), roles.classes, is_text=table.is_text)
    return (
        Columns(
            predictions,
            labels,
            weight,
            None if roles.cluster is None else values_of(rows.column(roles.cluster), table),
            numbers if roles.key is None else _keys(rows.column(roles.key), table),
            {name: coded(_no_empty(rows.column(column), table)) for name, column in roles.slices.items()},
        ),
        counts,
    )


def predictions_of(piece: Piece, names: Sequence[str], table: Table, width: int) -> Array:
    """Convert the columns of predictions alone; a cell that is no number is an error."""
    reading = Cells(piece.rows, table)
    predictions = reading.numbers(names, width)
    _kept(reading, None, piece, table, {}, skip=False)
    return predictions


def _kept(
    reading: "Cells",
    weight: Array | None,
    piece: Piece,
    table: Table,
    counts: dict[str, int],
    *,
    skip: bool,
) -> Array | None:
    """Return which rows are kept, None for all; without `skip`, the first that is not is an error."""
    kept: Array | None = None
    for fault in reading.faults:
        found = fault.rows if kept is None else fault.rows & kept
        counted = found if weight is None else found & (weight != 0)  # what has no weight may hold anything
        if counted.any() and not skip:
            i = int(counted.argmax())
            where = f"{table.origin}, row {piece.numbers[i]}" if table.origin else f"row {piece.numbers[i]}"
            raise BadData(f"{where}: {fault.sentence(i)}{SKIPPING}")
        if counted.any():
            counts[fault.kind] = counts.get(fault.kind, 0) + int(counted.sum())
        kept = ~found if kept is None else kept & ~found
    return kept


class Cells:
    """Some rows, and the faults that are found as their columns are converted."""

    def __init__(self, rows: pa.RecordBatch, table: Table) -> None:
        self.rows, self.table = rows, table
        self.faults: list[Fault] = []

    def no_nulls(self, name: str, missing: Sequence[str] = ("",)) -> None:
        """Find the rows where a column has no value, or in a text table one of those that stand for none."""
        column = _no_empty(self.rows.column(name), self.table, missing)
        if column.null_count:
            self._missing(name, np.asarray(column.is_null()))

    def _missing(self, name: str, missing: Array) -> None:
        self.faults.append(Fault("null", missing, lambda i: f"column {name!r} has no value; fill it in"))

    def numbers(self, names: Sequence[str], width: int = 0) -> Array:
        """Return columns of numbers, (n,) of one column, (n, C) of several or of one with lists of C numbers."""
        if len(names) > 1:
            return np.stack([self._column(name) for name in names]).T
        column = self.rows.column(names[0])
        if width and is_list(column.type):
            return self._lists(names[0], column, width)
        return self._column(names[0])

    def _column(self, name: str) -> Array:
        column = self.rows.column(name)
        if self.table.is_text:
            column = self._parsed(name, column)
        elif column.null_count:
            self._missing(name, _is_null(column))
        return self._array(name, column)

    def _array(self, name: str, column: pa.Array) -> Array:
        """Convert numbers of any type; NaN where there is no value."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        refuse_others(name, kind, self.table)
        if pa.types.is_boolean(kind):
            column = column.cast(pa.uint8())
        elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
            column = column.cast(pa.float64())
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def _parsed(self, name: str, column: pa.Array) -> pa.Array:
        """Read the numbers in texts."""
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:
            pass
        texts = [text.strip() for text in column.to_pylist()]
        missing = np.asarray([text in NO_NUMBER for text in texts])
        values = [None if gone else float_of(text) for gone, text in zip(missing, texts, strict=True)]
        wrong = np.asarray([x is None for x in values]) & ~missing
        if missing.any():
            self._missing(name, missing)
        if wrong.any():
            sentence = "column {!r} holds {!r}, which is no number; write numbers with a decimal point"
            self.faults.append(Fault("number", wrong, lambda i: sentence.format(name, texts[i])))
        return pa.array(values, pa.float64())

    def _lists(self, name: str, column: pa.Array, width: int) -> Array:
        """Return lists of one length as the rows of an array."""
        filled = ~_is_null(column)
        if not filled.all():
            self._missing(name, ~filled)
        lengths = np.asarray(pc.list_value_length(column).fill_null(0))
        ragged = filled & (lengths != width)
        if ragged.any():
            sentence = (
                "column {!r} has a list of {} numbers, and there are {} classes; pass one for each class"
            )
            self.faults.append(Fault("ragged", ragged, lambda i: sentence.format(name, lengths[i], width)))
        whole = filled & ~ragged
        flat = (column if whole.all() else column.filter(pa.array(whole))).flatten()
        values = self._array(name, flat).reshape(-1, width)
        if flat.null_count:
            gaps = np.zeros(len(column), bool)
            gaps[whole] = _is_null(flat).reshape(-1, width).any(axis=1)
            self._missing(name, gaps)
        if whole.all():
            return values
        result = np.zeros((len(column), width), values.dtype)
        result[whole] = values
        return result


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type is one of lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def refuse_others(name: str, kind: pa.DataType, table: Table) -> None:
    """Refuse a column whose values are neither numbers nor, in a text table, texts that write them."""
    of = pa.types
    value = kind.value_type if of.is_dictionary(kind) else kind
    numbers = (of.is_boolean, of.is_integer, of.is_floating, of.is_decimal, of.is_null)
    if not table.is_text and not any(is_one(value) for is_one in numbers):
        raise BadData(
            f"column {name!r} of {table.words()} has values of type {value}; pass a column of numbers"
        )


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_null(column: pa.Array) -> Array:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


def _no_empty(column: pa.Array, table: Table, missing: Sequence[str] = ("",)) -> pa.Array:
    """Return the column of a text table with nulls for empty texts, and for others that stand for none."""
    if not table.is_text:
        return column
    empty = pc.is_in(column, value_set=pa.array(missing, column.type))
    return pc.if_else(empty, pa.scalar(None, column.type), column)


def values_of(column: pa.Array, table: Table) -> Any:
    """Return a column of any values: numbers as they are, others with each value once."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)
    values = coded(column)
    if table.is_text:
        values.values = [x if x is None else value_of(x) for x in values.values]
    return values


def _keys(column: pa.Array, table: Table) -> Array:
    """Return the names of rows: integers, or texts; in a text table both, each as it is written."""
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if is_text(column.type) and not table.is_text:
        return np.asarray(column.to_numpy(zero_copy_only=False), object)
    texts = [str(x) for x in column.to_pylist()]
    numbers = [value_of(x) if table.is_text else x for x in texts]
    keys = (x if type(x) is int else text for text, x in zip(texts, numbers, strict=True))
    return np.fromiter(keys, object, len(texts))
