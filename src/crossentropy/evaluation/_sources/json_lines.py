"""JSON lines, read block by block."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
from pyarrow import json as arrow_json

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.addresses import HEAD
from crossentropy.evaluation._sources.blocks import blocks_of_lines
from crossentropy.evaluation._sources.table import Piece, Table, pieces

__all__ = ["json_lines_table"]


def json_lines_table(file: IO[bytes], origin: str) -> Table:
    """Open a file with an object in each line; the first lines say which columns there are, and of which type."""
    first = file.readline().removeprefix(BOM_UTF8)
    first += file.read(HEAD)
    first += file.readline()
    rows = [_parsed(line, i, origin) for i, line in enumerate(first.splitlines()) if line.strip()]
    names = list(dict.fromkeys(name for row in rows for name in row))

    def read(columns: Sequence[str], numeric: frozenset[str]) -> Iterator[Piece]:
        schema = pa.schema(
            [
                (name, _type(name, [row.get(name) for row in rows], name in numeric, origin))
                for name in columns
            ]
        )
        yield from pieces(_parsed_blocks(blocks_of_lines(file, first, origin, quoted=False), schema, origin))

    def objects() -> Iterator[dict[str, Any]]:
        number = 0
        for block in blocks_of_lines(file, first, origin, quoted=False):
            for line in block.splitlines():
                if line.strip():
                    yield _parsed(line, number, origin)
                number += 1

    return Table(origin, names, read, objects=objects)


def _parsed_blocks(blocks: Iterator[bytes], schema: pa.Schema, origin: str) -> Iterator[pa.RecordBatch]:
    number = 0
    for block in blocks:
        if block.strip():
            try:
                table = arrow_json.read_json(
                    pa.BufferReader(block),
                    read_options=arrow_json.ReadOptions(block_size=len(block) + 1, use_threads=False),
                    parse_options=arrow_json.ParseOptions(
                        explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="ignore"
                    ),
                )
            except (pa.ArrowException, OSError) as error:
                for i, line in enumerate(block.splitlines()):
                    if line.strip():
                        _parsed(line, number + i, origin)
                reason = str(error).partition("\n")[0].rstrip(". ")
                raise BadData(
                    f"{origin} cannot be read as JSON lines, in the {len(block.splitlines()):,} lines from line "
                    f"{number + 1} on: {reason}; pass columns of one type"
                ) from error
            yield from table.to_batches()
        number += block.count(b"\n")


def _parsed(line: bytes, number: int, origin: str) -> dict[str, Any]:
    """Return the object in a line."""
    try:
        row = json.loads(line)
    except ValueError as error:
        reason = f"is no JSON: {error}"
    else:
        if isinstance(row, dict):
            return row
        reason = "is no object"
    text = line[:60].decode("utf-8", "replace")
    raise BadData(f"{origin}, line {number + 1}: {text!r} {reason}; pass JSON lines, an object in each line")


def _type(name: str, values: Sequence[Any], numeric: bool, origin: str) -> pa.DataType:
    """Return the type of a column from some of its values."""
    known = [x for x in values if x is not None]
    if any(isinstance(x, list) for x in known):
        return pa.list_(pa.float64())
    kinds = {type(x) for x in known}
    if numeric and kinds <= {bool, int, float}:
        return pa.float64()
    if numeric:
        wrong = next(x for x in known if not isinstance(x, (bool, int, float)))
        raise BadData(
            f"{origin}: column {name!r} holds {wrong!r:.60}, which is no number; write numbers, or lists of them"
        )
    for kind, of_kind in ((bool, pa.bool_()), (int, pa.int64()), (str, pa.string())):
        if kinds <= {kind}:
            return pa.string() if not kinds else of_kind
    if kinds <= {int, float}:
        return pa.float64()
    types = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise BadData(f"{origin}: column {name!r} has values of types {types}; write values of one type")
