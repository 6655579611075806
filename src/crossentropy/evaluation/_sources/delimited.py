"""Text tables (CSV), read block by block; cells are texts."""

import csv
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from io import BufferedReader, RawIOBase, StringIO
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from crossentropy.evaluation._faults import SKIPPING, BadData
from crossentropy.evaluation._sources.blocks import LONGEST, blocks_of_lines
from crossentropy.evaluation._sources.table import Piece, Table, reading

__all__ = ["delimited_table"]

SEPARATORS = (",", ";", "\t", "|")
#: Bytes of a line without names: spaces, and the mark of UTF-8.
BLANK = b"\xef\xbb\xbf \t\r\n"


def delimited_table(file: IO[bytes], origin: str, *, skip: bool) -> Table:
    """Open a text table whose first line has the names of its columns.

    Parameters
    ----------
    file : binary file
    origin : str
    skip : bool
        Whether lines with another number of cells are left out and counted, or are an error.
    """
    file = BufferedReader(_Utf8(file, origin), 1 << 20)
    header = _header(file, origin)
    separator = max(SEPARATORS, key=re.sub('"[^"]*"', "", header).count)
    try:
        (names,) = csv.reader([header], delimiter=separator)
    except csv.Error as error:
        raise BadData(
            f"{origin} has no line of names that ends in a line feed: {header[:60]!r}; write line feeds, alone or "
            "after carriage returns"
        ) from error

    def read(columns: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        return _read(blocks_of_lines(file, b"", origin, quoted=True), table, separator, columns, skip=skip)

    table = Table(origin, names, read, is_text=True)
    return table


def _header(file: IO[bytes], origin: str) -> str:
    """Read the first line that is not empty; quoted names may have line breaks."""
    header = b""
    while not header.strip(BLANK) or header.count(b'"') % 2:
        line = file.readline(LONGEST)
        header += line
        if not line and not header.strip(BLANK):
            raise BadData(f"{origin} has no line with the names of its columns; add one")
        if not line or len(header) >= LONGEST:
            raise BadData(f"{origin} has a quotation mark in the names of its columns that is not closed")
    return header.decode("utf-8-sig").lstrip("\r\n")


def _read(
    blocks: Iterator[bytes], table: Table, separator: str, columns: Sequence[str], *, skip: bool
) -> Iterator[Piece]:
    places = [str(list(table.names).index(name)) for name in columns]
    broken: list[arrow_csv.InvalidRow] = []

    def on_broken(line: arrow_csv.InvalidRow) -> str:
        broken.append(line)
        return "skip" if skip else "error"

    first = 0
    with reading(table.origin, "CSV"):
        for block in blocks:
            if not block.strip():
                continue
            if block.count(b'"') % 2 and (row := _open_row(block, separator)) is not None:
                raise BadData(
                    f"{table.origin}, row {first + row}: a quotation mark is not closed before the end of the file; "
                    "close it, or double it if it belongs to the text"
                )
            broken.clear()
            try:
                rows = arrow_csv.read_csv(
                    pa.BufferReader(block),
                    # names may be there twice, numbers are not
                    read_options=arrow_csv.ReadOptions(
                        column_names=[str(i) for i in range(len(table.names))],
                        use_threads=False,
                        block_size=len(block) + 1,
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=separator, newlines_in_values=True, invalid_row_handler=on_broken
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        include_columns=places,
                        column_types=dict.fromkeys(places, pa.string()),
                        strings_can_be_null=False,
                    ),
                )
            except pa.ArrowInvalid as error:
                if broken and not skip:
                    raise _broken(broken[0], first, table) from error
                raise
            batch = pa.RecordBatch.from_arrays(
                [column.combine_chunks() for column in rows.columns], names=list(columns)
            )
            # of the lines that were left out, those before a row move its number
            gaps = np.asarray([line.number - 1 for line in broken], np.int64) - np.arange(len(broken))
            within = np.arange(batch.num_rows)
            numbers = first + within + np.searchsorted(gaps, within, side="right")
            yield Piece(batch, numbers, len(broken))
            first += batch.num_rows + len(broken)


def _open_row(block: bytes, separator: str) -> int | None:
    """Return the row of a block in which a cell in quotes begins and does not end; None if there is none."""
    rows = csv.reader(StringIO(block.decode(), newline=""), delimiter=separator, strict=True)
    row = 0
    try:
        for cells in rows:
            row += bool(cells)
    except csv.Error as error:
        return None if "expected after" in str(error) else row
    return None


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


def _broken(line: arrow_csv.InvalidRow, first: int, table: Table) -> BadData:
    text = line.text if len(line.text) <= 60 else line.text[:57] + "…"
    return BadData(
        f"{table.origin}, row {first + line.number - 1}: the line {text!r} has {line.actual_columns} cells, and there "
        f"are {line.expected_columns} columns; put cells with separators in quotes"
        f"{SKIPPING}"
    )
