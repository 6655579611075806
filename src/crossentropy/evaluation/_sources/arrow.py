"""Arrow files and streams, and objects that give one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from crossentropy.evaluation._sources.table import Piece, Table, pieces, reading

__all__ = ["arrow_file", "arrow_object", "arrow_stream"]


def arrow_file(file: IO[bytes], origin: str) -> Table:
    """Open an Arrow file (Feather of version 2)."""
    with reading(origin, "Arrow"):
        reader = pa.ipc.open_file(file)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        return _table(reader.schema, batches, origin, "Arrow")


def arrow_stream(file: IO[bytes], origin: str) -> Table:
    """Open a stream in Arrow's format for processes."""
    with reading(origin, "an Arrow stream"):
        reader = pa.ipc.open_stream(file)
        return _table(reader.schema, reader, origin, "an Arrow stream")


def arrow_object(source: Any) -> Table:
    """Take the stream of an object with ``__arrow_c_stream__``, a table of pyarrow, polars, pandas or DuckDB."""
    reader = pa.RecordBatchReader.from_stream(source)
    return _table(reader.schema, reader, "", "Arrow")


def _table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], origin: str, what: str) -> Table:
    def read(names: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        with reading(origin or "the table", what):
            yield from pieces((batch.select(list(names)) for batch in batches), checked=bool(origin))

    return Table(origin, schema.names, read)
