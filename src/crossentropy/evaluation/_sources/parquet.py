"""Parquet files, read batch by batch."""

from collections.abc import Iterator, Sequence
from io import BufferedReader
from typing import IO

from pyarrow import parquet

from crossentropy.evaluation._sources.table import Piece, Table, pieces, reading, rows_at_once

__all__ = ["parquet_table"]


def parquet_table(file: IO[bytes], origin: str) -> Table:
    """Open a Parquet file; its footer is read."""
    with reading(origin, "Parquet"):
        # a path is read by Arrow alone, a Python file through the interpreter
        table = parquet.ParquetFile(_path(file) or file, pre_buffer=False, page_checksum_verification=True)
        columns = table.schema_arrow.names

    def read(names: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        with reading(origin, "Parquet"):
            rows = rows_at_once([table.schema_arrow.field(name).type for name in names])
            yield from pieces(table.iter_batches(rows, columns=list(names)), checked=True)

    return Table(origin, columns, read)


def _path(file: IO[bytes]) -> str:
    """Return the path of a file that `open` returned; empty for other objects."""
    name = getattr(file, "name", "") if isinstance(file, BufferedReader) else ""
    return name if isinstance(name, str) else ""
