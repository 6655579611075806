"""Calibrators and files: fitted to the rows of a source, applied to others piece by piece."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from crossentropy._arguments.words import listed
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources.columns import as_names, by_class, find_columns
from crossentropy.evaluation._sources.convert import predictions_of
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.score import score_source
from crossentropy.evaluation._sources.table import Table
from crossentropy.evaluation.calibrators._auto import METHODS, AutoCalibration
from crossentropy.evaluation.calibrators._base import Calibrator
from crossentropy.evaluation.calibrators._gain import Gain, folds, gain_of, held_out_losses
from crossentropy.evaluation.calibrators._rows import probabilities, row_losses, rows_of

__all__ = ["calibrated_batches", "fit_to_source", "write_batches"]

#: What the calibrated columns are called, before the label.
ADDED = "calibrated"


class _Keeping(Scoring):
    """Scoring that keeps the rows."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.batches: list[Batch] = []

    def take(self, batch: Batch) -> None:
        super().take(batch)
        self.batches.append(batch)


def fit_to_source(
    method: str,
    source: Any,
    names: Columns,
    request: Request,
    *,
    on_rows: Callable[[int], None] | None = None,
    interval: float = 0.95,
) -> tuple[Calibrator, Sequence[Gain]]:
    """Fit a calibrator to the rows of files, with classes as texts.

    Returns
    -------
    (Calibrator, sequence of Gain)
        The gains of all methods that were tried; none if there are too few rows for cross-validation.
    """
    made: list[_Keeping] = []

    def keeping(request: Request) -> Scoring:
        made.append(_Keeping(request))
        return made[-1]

    state = score_source(source, names, request, typed_classes=False, on_rows=on_rows, scoring_of=keeping)
    batches = [batch for batch in made[0].batches if len(batch)]
    d = state.declaration
    predictions = np.concatenate([batch.predictions for batch in batches])
    weight = np.concatenate([b.weight for b in batches if b.weight is not None]) if d.weighted else None
    labels = np.concatenate([batch.labels for batch in batches])
    rows = rows_of(Batch(predictions, labels, np.arange(len(labels)), weight), d, predictions.dtype)
    kinds: tuple[type[Calibrator], ...] = (*METHODS, AutoCalibration)
    (chosen,) = (kind for kind in kinds if kind.method == method)
    calibrator = chosen(d.kind, classes=d.classes)
    calibrator._fit_to(rows, d)
    if isinstance(calibrator, AutoCalibration):
        return calibrator, calibrator.gains_
    least = calibrator._least_rows(rows.classes)
    if len(rows) < 2 * least and len(rows) - np.bincount(folds(len(rows))).max() < least:
        return calibrator, ()
    before, after = row_losses(rows.scores, rows.labels), held_out_losses(calibrator, rows, calibrator)
    return calibrator, (gain_of(calibrator, rows, before, after, interval),)


def calibrated_batches(
    calibrator: Calibrator, source: Any, columns: Any, *, tolerance: float | None = None
) -> Iterator[pa.RecordBatch]:
    """Read files and yield their rows, with calibrated probabilities as further columns.

    They are called "calibrated_" and the label; of predictions in one column, there is one, "calibrated".
    """
    d = calibrator._declaration
    added = [ADDED] if d.one_column else [f"{ADDED}_{label}" for label in d.classes]
    schema = None
    for table in open_tables(source, skip=False):
        names = _prediction_names(calibrator, columns, table)
        _check_columns(table, added)
        for piece in table.read(list(table.names), frozenset(names)):
            if not piece.rows.num_rows:
                continue
            x = predictions_of(piece, names, table, len(d.classes))
            where = {"first_row": int(piece.numbers[0]), "origin": table.origin, "tolerance": tolerance}
            p = probabilities(calibrator._map(calibrator._scores(x, **where)))
            rows = piece.rows
            for name, column in zip(added, p[:, 1:].T if d.one_column else p.T, strict=True):
                rows = rows.append_column(name, pa.array(np.ascontiguousarray(column)))
            schema = schema or rows.schema
            if rows.schema.names != schema.names or rows.schema.types != schema.types:
                raise BadData(
                    f"{table.words()} has other columns than the first file, {listed(rows.schema.names)}; calibrate "
                    "files of one kind together"
                )
            yield rows


def _prediction_names(calibrator: Calibrator, columns: Any, table: Table) -> tuple[str, ...]:
    """Return the columns of predictions in the order of the classes."""
    found = find_columns(as_names(columns, calibrator.kind), table)
    if len(found.names) == 1:
        return found.names
    if calibrator._declaration.one_column:
        raise ValueError(
            f"the calibrator was fitted to one column, and {columns!r} names {len(found.names)} of {table.words()}; "
            "pass the column of the positive class"
        )
    return by_class(found, calibrator._declaration.classes, table)


def _check_columns(table: Table, added: Sequence[str]) -> None:
    names = [*table.names, *added]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadData(f"{table.words()} would have two columns {twice!r}; rename or drop one")


def write_batches(batches: Iterable[pa.RecordBatch], path: Path, *, as_csv: bool) -> int:
    """Write rows into a Parquet or CSV file, and return their number.

    Raises
    ------
    BadData
        If there are no rows.
    ValueError
        If CSV cannot hold a column.
    """
    count = 0
    with open(path, "wb") as file, ExitStack() as closed:
        writer: parquet.ParquetWriter | None = None
        for batch in batches:
            if as_csv:
                file.write(_csv_text(batch, header=not count))
            else:
                writer = writer or closed.enter_context(parquet.ParquetWriter(file, batch.schema))
                writer.write_batch(batch)
            count += batch.num_rows
    if not count:
        raise BadData("there are no rows to calibrate; pass predictions")
    return count


def _csv_text(batch: pa.RecordBatch, *, header: bool) -> bytes:
    """Return lines of CSV; texts are in quotes only where they need to be."""
    lines, first = io.BytesIO(), io.StringIO()
    if header:
        csv.writer(first, lineterminator="\n").writerow(batch.schema.names)
    for quoting in ("none", "needed"):
        options = arrow_csv.WriteOptions(include_header=False, quoting_style=quoting)
        try:
            arrow_csv.write_csv(batch, lines, options)
            break
        except pa.ArrowInvalid as error:
            if quoting == "needed":
                raise ValueError(f"CSV cannot hold a column: {error}; write a .parquet file") from error
            lines = io.BytesIO()
    return first.getvalue().encode() + lines.getvalue()
