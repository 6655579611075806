"""Text tables (CSV), read block by block; cells are texts."""

import csv
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from io import BufferedReader, RawIOBase
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.addresses import rejoined
from crossentropy.evaluation._sources.table import Piece, Table, unreadable

__all__ = ["delimited_table"]

SEPARATORS = (",", ";", "\t", "|")
#: Bytes that are parsed at once; Arrow reads some 32 blocks ahead.
BLOCK = 1 << 20


def delimited_table(file: IO[bytes], origin: str, *, skip: bool) -> Table:
    """Open a text table whose first line has the names of its columns.

    Parameters
    ----------
    file : binary file
    origin : str
    skip : bool
        Whether lines with another number of cells are left out and counted, or are an error.
    """
    file = BufferedReader(_Utf8(file, origin), BLOCK)
    first, header = b"", ""
    while not header.strip():
        line = file.readline()
        if not line:
            raise BadData(f"{origin} has no line with the names of its columns; add one")
        first += line
        header = line.decode("utf-8-sig")
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
        raise unreadable(origin, "CSV", error) from error


class _Utf8(RawIOBase):
    """A file whose bytes are checked to be UTF-8 as they are read."""

    def __init__(self, file: IO[bytes], origin: str) -> None:
        self._file, self._origin = file, origin
        self._decoder = getincrementaldecoder("utf-8")()
        self._lines = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        try:
            self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._lines + data[: error.start].count(b"\n") + 1
            raise BadData(
                f"{self._origin} is not in UTF-8, in line {line}: {error.reason}; convert it"
            ) from None
        self._lines += data.count(b"\n")
        buffer[: len(data)] = data
        return len(data)


def _broken(line: arrow_csv.InvalidRow, origin: str) -> BadData:
    text = line.text if len(line.text) <= 60 else line.text[:57] + "…"
    return BadData(
        f"{origin}, row {line.number - 2}: the line {text!r} has {line.actual_columns} cells, and there are "
        f"{line.expected_columns} columns; put cells with separators in quotes. "
        'on_bad_rows="skip" leaves such rows out and counts them'
    )
