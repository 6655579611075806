"""A table that is read piece by piece, whatever its format."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from crossentropy.evaluation._faults import BadData

__all__ = ["BATCH", "Piece", "Table", "pieces", "reading", "stored"]

Array = np.ndarray[Any, Any]
#: Rows that are read at once.
BATCH = 1 << 17


class Piece(NamedTuple):
    """Some rows of a table, what they are called in it, and how many lines were left out since the piece before."""

    rows: pa.RecordBatch
    #: int64 array: the number of each row, from 0 on.
    numbers: Array
    broken: int = 0


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
        for start in range(0, batch.num_rows, BATCH):
            rows = stored(batch.slice(start, BATCH))
            yield Piece(rows, np.arange(first, first + rows.num_rows))
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
