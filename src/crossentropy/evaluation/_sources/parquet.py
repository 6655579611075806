"""Parquet files, read batch by batch."""

from collections.abc import Iterator, Sequence
from io import BufferedReader
from typing import IO

import pyarrow as pa
from pyarrow import parquet

from crossentropy.evaluation._sources.table import BATCH, Piece, Table, pieces, unreadable

__all__ = ["parquet_table"]


def parquet_table(file: IO[bytes], origin: str) -> Table:
    """Open a Parquet file; its footer is read."""
    try:
        # a path is read by Arrow alone, a Python file through the interpreter
        table = parquet.ParquetFile(_path(file) or file, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(origin, "Parquet", error) from error

    def read(names: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        try:
            yield from pieces(table.iter_batches(BATCH, columns=list(names)), checked=True)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(origin, "Parquet", error) from error

    return Table(origin, table.schema_arrow.names, read)


def _path(file: IO[bytes]) -> str:
    """Return the path of a file that `open` returned; empty for other objects."""
    name = getattr(file, "name", "") if isinstance(file, BufferedReader) else ""
    return name if isinstance(name, str) else ""
