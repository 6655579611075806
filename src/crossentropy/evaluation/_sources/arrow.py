"""Arrow files and streams, and objects that give one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from crossentropy.evaluation._sources.table import Piece, Table, pieces, unreadable

__all__ = ["arrow_file", "arrow_object", "arrow_stream"]


def arrow_file(file: IO[bytes], origin: str) -> Table:
    """Open an Arrow file (Feather of version 2)."""
    try:
        reader = pa.ipc.open_file(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(origin, "Arrow", error) from error
    return _table(reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches)), origin)


def arrow_stream(file: IO[bytes], origin: str) -> Table:
    """Open a stream in Arrow's format for processes."""
    try:
        reader = pa.ipc.open_stream(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(origin, "an Arrow stream", error) from error
    return _table(reader.schema, reader, origin)


def arrow_object(source: Any) -> Table:
    """Take the stream of an object with ``__arrow_c_stream__``, a table of pyarrow, polars, pandas or DuckDB."""
    reader = pa.RecordBatchReader.from_stream(source)
    return _table(reader.schema, reader, "")


def _table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], origin: str) -> Table:
    def read(names: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        try:
            yield from pieces((batch.select(list(names)) for batch in batches), checked=bool(origin))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(origin or "the table", "Arrow", error) from error

    return Table(origin, schema.names, read)
