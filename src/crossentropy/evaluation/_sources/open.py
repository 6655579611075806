"""Recognize the format of files by their first bytes, and open them as tables."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.addresses import HEAD, addresses, opened, rejoined, seekable
from crossentropy.evaluation._sources.arrow import arrow_file, arrow_object, arrow_stream
from crossentropy.evaluation._sources.delimited import delimited_table
from crossentropy.evaluation._sources.json_lines import json_lines_table
from crossentropy.evaluation._sources.parquet import parquet_table
from crossentropy.evaluation._sources.paths import called
from crossentropy.evaluation._sources.table import Table

__all__ = ["open_tables"]

_FOREIGN = {
    b"FEA1": "a Feather file of version 1; write version 2, or Parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip or zstd",
    b"\xfd7zXZ": "compressed by xz; unpack it, or compress it by gzip or zstd",
    b"\x04\x22\x4d\x18": "compressed by lz4; unpack it, or compress it by gzip or zstd",
    b"\x89HDF": "an HDF5 file; write the table as Parquet",
    b"\x93NUMPY": "a NumPy file; pass the array that numpy.load returns",
    b"SQLite": "a database of SQLite; write the table as Parquet or CSV",
    b"crossentropy state": "a state; merge takes states, evaluate takes predictions",
}


def open_tables(source: Any, *, skip: bool) -> Iterator[Table]:
    """Open the tables of a source one after the other; each is closed before the next one.

    Parameters
    ----------
    source : path, pattern, ``"-"``, address, a list of these, or object with ``__arrow_c_stream__``
    skip : bool
        Whether broken lines of text tables are left out.
    """
    if hasattr(source, "__arrow_c_stream__"):
        yield arrow_object(source)
        return
    for address in addresses(source):
        with _table(address, skip=skip) as table:
            yield table


@contextmanager
def _table(address: str, *, skip: bool) -> Iterator[Table]:
    origin = called(address)
    with opened(address) as file:
        head = file.read(HEAD)
        if not head.strip():
            raise BadData(f"{origin} is empty; pass a file with predictions")
        for mark, words in _FOREIGN.items():
            if head.startswith(mark):
                raise BadData(f"{origin} is {words}")
        whole = _again(file, head)
        if head.startswith((b"PAR1", b"ARROW1")):
            with seekable(whole) as file_of_parts:
                yield (parquet_table if head.startswith(b"PAR1") else arrow_file)(file_of_parts, origin)
        elif head.startswith(b"\xff\xff\xff\xff"):
            yield arrow_stream(whole, origin)
        elif head.removeprefix(BOM_UTF8).lstrip()[:1] == b"{":
            yield json_lines_table(whole, origin)
        elif head.removeprefix(BOM_UTF8).lstrip()[:1] == b"[":
            raise BadData(f"{origin} is a JSON array; write JSON lines, an object in each line")
        else:
            yield delimited_table(whole, origin, skip=skip)


def _again(file: IO[bytes], head: bytes) -> IO[bytes]:
    """Return a file whose first bytes were read, from its start."""
    if not file.seekable():
        return rejoined(file, head)
    file.seek(0)
    return file
