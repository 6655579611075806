"""Calibrators and files: fitted to the rows of a source, applied to others piece by piece."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from crossentropy._arguments.words import listed
from crossentropy._statistics.cpu.memory import large_array
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._faults import BadData, without_skipping
from crossentropy.evaluation._scoring import Columns, Request, Scoring
from crossentropy.evaluation._sources.columns import as_names, by_class, find_columns
from crossentropy.evaluation._sources.convert import predictions_of
from crossentropy.evaluation._sources.open import open_tables
from crossentropy.evaluation._sources.score import score_source
from crossentropy.evaluation._sources.table import Table
from crossentropy.evaluation.calibrators._auto import METHODS, AutoCalibration
from crossentropy.evaluation.calibrators._base import Calibrator
from crossentropy.evaluation.calibrators._folds import Folds
from crossentropy.evaluation.calibrators._gain import Gain, fit_and_hold_out, gain_of
from crossentropy.evaluation.calibrators._rows import probabilities, rows_of
from crossentropy.evaluation.state import State

__all__ = ["calibrated_batches", "fit_to_source", "write_batches"]

#: What the calibrated columns are called, before the label.
ADDED = "calibrated"


class _Keeping(Scoring):
    """Scoring that keeps the rows in place of scoring them."""

    def __init__(self, request: Request, *, threads: int | None = None, state: State | None = None) -> None:
        super().__init__(request, threads=threads, state=state)
        self.batches: list[tuple[int, Batch]] = []

    def take(self, batch: Batch) -> None:
        assert self.state is not None  # for type checkers
        self.state.count_rows(len(batch) if batch.weight is None else int(np.count_nonzero(batch.weight)))
        self.batches.append((self.piece, batch))


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

    def keeping(*of: Any, **options: Any) -> Scoring:
        made.append(_Keeping(*of, **options))
        return made[-1]

    state = score_source(source, names, request, typed_classes=False, on_rows=on_rows, scoring_of=keeping)
    kept = sorted((part for scoring in made for part in scoring.batches), key=itemgetter(0))
    batches = [batch for _, batch in kept if len(batch)]
    d = state.declaration
    columns = [batch.predictions.T for batch in batches]  # which stay whole
    shape = (*columns[0].shape[:-1], sum(len(batch) for batch in batches))
    predictions = np.concatenate(columns, axis=-1, out=large_array(shape, np.result_type(*columns))).T
    weight = np.concatenate([b.weight for b in batches if b.weight is not None]) if d.weighted else None
    cluster = np.concatenate([b.cluster for b in batches if b.cluster is not None]) if d.clustered else None
    labels = np.concatenate([batch.labels for batch in batches])
    rows = rows_of(Batch(predictions, labels, None, weight, cluster), d, predictions.dtype, overwrite=True)
    kinds: tuple[type[Calibrator], ...] = (*METHODS, AutoCalibration)
    (chosen,) = (kind for kind in kinds if kind.method == method)
    calibrator = chosen(d.kind, classes=d.classes)
    parts = None if isinstance(calibrator, AutoCalibration) else Folds(rows)
    if parts is None or parts.least() < calibrator._least_rows(rows.classes):
        calibrator._fit_to(rows, d)
        return calibrator, calibrator.gains_ if isinstance(calibrator, AutoCalibration) else ()
    calibrator._check_size(rows.n, rows.classes)
    calibrator._declare(d)
    losses = fit_and_hold_out(calibrator, parts, rows)
    return calibrator, (gain_of(calibrator, parts, parts.before, losses, interval),)


def calibrated_batches(
    calibrator: Calibrator, source: Any, columns: Any, *, tolerance: float | None = None
) -> Iterator[pa.RecordBatch]:
    """Read files and yield their rows, with calibrated probabilities as further columns.

    They are called "calibrated_" and the label; of predictions in one column, there is one, "calibrated".
    """
    d = calibrator._declaration
    added = [ADDED] if d.one_column else [f"{ADDED}_{label}" for label in d.classes]
    schema = None
    with without_skipping():
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
                        f"{table.words()} has other columns than the first file, {listed(rows.schema.names)}; "
                        "calibrate files of one kind together"
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
