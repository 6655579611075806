"""A table that is read piece by piece, whatever its format."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from crossentropy.evaluation._faults import BadData

__all__ = ["Piece", "Table", "pieces", "reading", "rows_at_once", "stored"]

Array = np.ndarray[Any, Any]
#: The most rows that are read at once, and about how many cells.
BATCH, CELLS = 1 << 17, 1 << 20


class Piece(NamedTuple):
    """Some rows of a table, what they are called in it, and how many lines were left out since the piece before."""

    rows: pa.RecordBatch
    #: The number of each row, from 0 on; range or int64 array.
    numbers: range | Array
    broken: int = 0

    def row_numbers(self) -> Array:
        """Return the numbers as an array."""
        numbers = self.numbers
        return np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers

    def divided(self, rows: int) -> Iterator["Piece"]:
        """Yield the first rows, and then the others, if there are any."""
        yield Piece(self.rows.slice(0, rows), self.numbers[:rows], self.broken)
        if self.rows.num_rows > rows:
            yield Piece(self.rows.slice(rows), self.numbers[rows:])


@dataclass(frozen=True)
class Table:
    """The columns of a table, and a function that reads its rows."""

    #: What the table is called: the name of its file; empty for an object in memory.
    origin: str
    names: Sequence[str]
    #: Read the columns of these names; of those in the second set only numbers are expected.
    read: Callable[[Sequence[str], frozenset[str]], Iterator[Piece]]
    #: Whether cells are texts, whatever they stand for.
    is_text: bool = False
    #: Read rows as they are written, in place of `read`; of JSON lines only.
    objects: Callable[[], Iterator[dict[str, Any]]] | None = None

    def words(self) -> str:
        """Call the table what a message calls it."""
        return self.origin or "the table"


def rows_at_once(types: Sequence[pa.DataType]) -> int:
    """Return how many rows of columns of these types to read at once; a list or tensor counts as 64 cells.

    >>> rows_at_once([pa.int8(), pa.float64()]), rows_at_once([pa.float32()] * 1000)
    (131072, 4096)
    """
    width = sum(
        64 if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) else 1 for kind in types
    )
    return min(BATCH, max(1 << 12, CELLS // max(1, width)))


def pieces(batches: Iterable[pa.RecordBatch], *, checked: bool = False) -> Iterator[Piece]:
    """Number the rows of batches, and divide batches that are too large.

    Parameters
    ----------
    batches : iterable of RecordBatch
    checked : bool
        Whether offsets, codes and texts are checked: those of a damaged file may point anywhere.
    """
    first = 0
    for batch in batches:
        if checked:
            batch.validate(full=True)
        step = rows_at_once(batch.schema.types)
        for start in range(0, batch.num_rows, step):
            rows = stored(batch.slice(start, step))
            yield Piece(rows, range(first, first + rows.num_rows))
            first += rows.num_rows


def stored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with what columns of extension types are stored as, such as tensors as lists."""
    if not any(isinstance(kind, pa.BaseExtensionType) for kind in batch.schema.types):
        return batch
    columns = [x.storage if isinstance(x, pa.ExtensionArray) else x for x in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


@contextmanager
def reading(origin: str, what: str) -> Iterator[None]:
    """Turn errors of Arrow about a file that is not what it seems to be into `BadData`."""
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0].rstrip(". ") or "it would take more memory than there is"
        raise BadData(
            f"{origin} cannot be read as {what}: {reason}. It may be truncated or damaged: write it again"
        ) from error
