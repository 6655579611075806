"""Read a Parquet file as columns of its own types."""

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from crossentropy.training.tables.raw import RawTable, checked_names


def read_parquet(content: bytes, path: Path) -> RawTable:
    """Read a Parquet file; the columns of a pandas index are columns like others, and a notice names them."""
    table = parquet.read_table(pa.BufferReader(content))
    names, unnamed = checked_names(table.column_names, str(path))
    notices = []
    index = [name for name in _index_columns(table.schema) if name in names and name not in unnamed]
    if index:
        columns = ", ".join(map(repr, index))
        notices.append(f"{path.name} has a pandas index, {columns}: it is read as a column like the others.")
    return RawTable(dict(zip(names, table.columns, strict=True)), notices, unnamed=unnamed)


def _index_columns(schema: pa.Schema) -> list[str]:
    """Find the names of columns that pandas wrote for an index; a range is not written as a column."""
    written = (schema.metadata or {}).get(b"pandas")
    if not written:
        return []
    try:
        entries = json.loads(written).get("index_columns", [])
    except (ValueError, AttributeError):
        return []
    return [entry for entry in entries if isinstance(entry, str)]
