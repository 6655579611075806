"""A batch of rows: columns that are declared and checked already, as `State.update` takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

__all__ = ["Batch", "SliceColumn"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class SliceColumn:
    """For each row the place (int32) of its slice in `names`."""

    codes: Array
    names: Sequence[str]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows, as NumPy columns that fit a `Declaration` and have been checked.

    `State.update` checks nothing again. A source of rows need not make batches itself: it gives the columns as it reads
    them to ``crossentropy.evaluation._scoring.Scoring``, which converts labels to indices, checks, and refuses or
    leaves out bad rows.

    Parameters
    ----------
    predictions : float32 or float64 array (n,), contiguous, or (n, C) with any strides
        As declared, columns beside each other or rows; neither NaN nor outside their range.
    labels : int64 or int8 array (n,), or float64 array, shape of `predictions`
        The index of the class; if declared soft, masses.
    rows : range of n, int64 array (n,), object array (n,) of str and int, or None
        What each row is called, each name once in all data: its number in its file, or a key of the user's. It breaks
        ties among the worst rows and seeds the bootstrap, so the result is the same for every order of the rows only
        if a row has the same name in each. None leaves rows without names; a bootstrap is by cluster then.
    weight : float64 array (n,), optional
        Finite and not negative.
    cluster : uint64 array (n,), optional
        The hash of each row's cluster, as ``crossentropy.evaluation._hashing.hash_values`` gives it.
    slices : tuple of SliceColumn
        One for each declared slice column.
    origin : str
        Where the rows are from, as a file's name; together with `rows` it names them.
    """

    predictions: Array
    labels: Array
    rows: range | Array | None
    weight: Array | None = None
    cluster: Array | None = None
    slices: tuple[SliceColumn, ...] = ()
    origin: str = ""

    def __len__(self) -> int:
        return len(self.predictions)

    def wide(self) -> "Batch":
        """Return the batch with labels as most kernels read them: int64 in place of int8."""
        narrow = self.labels.dtype == np.int8
        return replace(self, labels=self.labels.astype(np.int64)) if narrow else self

    def names(self) -> Array | None:
        """Return what the rows are called, as an array."""
        return np.arange(self.rows.start, self.rows.stop) if isinstance(self.rows, range) else self.rows

    def take(self, selection: Any) -> "Batch":
        """Return the rows of a slice, a mask or indices."""

        def of(x: Array | None) -> Any:
            return None if x is None else np.ascontiguousarray(x[selection])

        return replace(
            self,
            predictions=of(self.predictions) if self.predictions.ndim == 1 else self.predictions[selection],
            labels=of(self.labels),
            rows=self._names_of(selection),
            weight=of(self.weight),
            cluster=of(self.cluster),
            slices=tuple(SliceColumn(of(s.codes), s.names) for s in self.slices),
        )

    def _names_of(self, selection: Any) -> range | Array | None:
        if isinstance(self.rows, range) and isinstance(selection, slice):
            return self.rows[selection]
        if isinstance(self.rows, range) and selection.dtype.kind == "i":
            return self.rows.start + selection
        names = self.names()
        return None if names is None else np.ascontiguousarray(names[selection])
