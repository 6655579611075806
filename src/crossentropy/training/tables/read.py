"""Read a table from a file of any kind that is known here."""

from pathlib import Path

import pyarrow as pa

from crossentropy.training.errors import InputError
from crossentropy.training.tables.delimited import read_delimited
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.parquet import read_parquet
from crossentropy.training.tables.raw import RawTable
from crossentropy.training.tables.source import PARQUET, check_exists, read_bytes, to_utf8


def read_table(path: Path, options: ReadOptions) -> RawTable:
    """Read a Parquet file, or a text table in any encoding and with any separator, either compressed by gzip.

    The kind of a file is found from its content, not from its name.

    Raises
    ------
    InputError
        If it cannot be read, or is no table.
    """
    check_exists(str(path))
    content, notices = read_bytes(path)
    try:
        if content.startswith(PARQUET):
            table = read_parquet(content, path)
        elif path.suffix.lower() == ".parquet":
            raise InputError(f"{path} cannot be read: it does not begin as a Parquet file does.")
        else:
            text, decoded = to_utf8(content, options.encoding, path)
            del content
            notices += decoded
            table = read_delimited(text, options, path)
    except (pa.ArrowException, OSError, MemoryError, OverflowError) as error:
        raise InputError(
            f"{path} cannot be read: {' '.join(str(error).split()).rstrip('.') or 'it is too large'}."
        ) from error
    if not table.rows:
        raise InputError(f"{path} holds no rows.")
    return RawTable(table.columns, [*notices, *table.notices], table.decimal, table.unnamed)
