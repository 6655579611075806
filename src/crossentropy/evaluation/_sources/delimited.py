"""Text tables (CSV), read block by block; cells are texts."""

import csv
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.addresses import rejoined
from crossentropy.evaluation._sources.table import Piece, Table

__all__ = ["delimited_table"]

SEPARATORS = (",", ";", "\t", "|")
BLOCK = 1 << 22


def delimited_table(file: IO[bytes], origin: str, *, skip: bool) -> Table:
    """Open a text table whose first line has the names of its columns.

    Parameters
    ----------
    file : binary file
    origin : str
    skip : bool
        Whether lines with another number of cells are left out and counted, or are an error.
    """
    first, header = b"", ""
    while not header.strip():
        line = file.readline()
        if not line:
            raise BadData(f"{origin} has no line with the names of its columns; add one")
        first += line
        try:
            header = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadData(f"{origin} is not in UTF-8: {error}; convert it") from error
    separator = max(SEPARATORS, key=header.count)
    (names,) = csv.reader([header], delimiter=separator)

    def read(columns: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        return _read(rejoined(file, first), origin, separator, columns, skip=skip)

    return Table(origin, names, read, is_text=True)


def _read(
    file: IO[bytes], origin: str, separator: str, columns: Sequence[str], *, skip: bool
) -> Iterator[Piece]:
    broken: list[arrow_csv.InvalidRow] = []

    def on_broken(line: arrow_csv.InvalidRow) -> str:
        broken.append(line)
        return "skip" if skip else "error"

    told, first = 0, 0
    try:
        reader = arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=on_broken
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            # of the lines that were left out, those before the rows of this batch move their numbers
            gaps = np.asarray([line.number - 2 for line in broken], np.int64) - np.arange(len(broken))
            places = np.arange(first, first + batch.num_rows)
            yield Piece(batch, places + np.searchsorted(gaps, places, side="right"), len(broken) - told)
            told, first = len(broken), first + batch.num_rows
        yield Piece(pa.RecordBatch.from_pylist([], reader.schema), np.zeros(0, np.int64), len(broken) - told)
    except (pa.ArrowException, OSError, EOFError) as error:
        if broken and not skip:
            raise _broken(broken[0], origin) from error
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise BadData(f"{origin} cannot be read as CSV: {reason}; write it again in UTF-8") from error


def _broken(line: arrow_csv.InvalidRow, origin: str) -> BadData:
    text = line.text if len(line.text) <= 60 else line.text[:57] + "…"
    return BadData(
        f"{origin}, row {line.number - 2}: the line {text!r} has {line.actual_columns} cells, and there are "
        f"{line.expected_columns} columns; put cells with separators in quotes. "
        'on_bad_rows="skip" leaves such rows out and counts them'
    )
