"""One exact, mergeable state of all scores of a data set."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._container import pack, unpack
from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._finalize import finalize
from crossentropy.evaluation._part import Part, rows_together
from crossentropy.evaluation._state_tree import fill, tree_of
from crossentropy.evaluation.result import Evaluation

__all__ = ["State"]

Array = np.ndarray[Any, Any]

UNKNOWN = (
    "this state is undamaged, but its content is none that this release of crossentropy has written; use the release "
    "that wrote it, or compute the state again"
)


class State:
    """Everything that is to be known about the rows seen so far: scores, errors, calibration.

    States add up. A data set in any batches, its rows in any order, on any number of threads, processes or machines,
    merged in any order: the result has the same bits, because sums are exact (as those of `math.fsum`), and what is
    bounded is bounded by a rule that depends on all rows together.

    A state does not grow with the number of rows. It has some kilobytes of sums, and counts of labels by prediction:
    16 bytes for each distinct prediction, up to 131 kB, from where on it stands on a grid of that size; log-odds beyond
    ±23 have some 15 kB of sums more. With C > 2 classes there is a table for each of up to 100 classes, 2 MB in all,
    and one of the most probable class; and 24 bytes or more of sums for each class and each slice. Rows with weights
    need two to four times as much. Clusters take 110 to 160 bytes each up to 16384 of them, after which they are
    joined, and up to 0.9 MB by bin and by class.

    Parameters
    ----------
    declaration : Declaration
        What the columns are.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation import Batch, Declaration, State
    >>> state = State(Declaration("proba", (0, 1), one_column=True))
    >>> state.update(Batch(np.asarray([0.8, 0.3]), np.asarray([1, 0]), np.asarray([0, 1])))
    >>> other = State.from_bytes(state.to_bytes())
    >>> state.merge(other)
    >>> state.finalize().n
    4
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self._parts = [Part(declaration)]  # one for each thread that has added rows

    def update(self, batch: Batch) -> None:
        """Add rows that fit the declaration; see `Batch` for what is expected of them.

        Rows of weight 0 count nothing, whatever is predicted. Large batches are added on ``OMP_NUM_THREADS`` threads,
        or as many as there are processors.

        Raises
        ------
        ValueError
            If rows without names are to be drawn by a bootstrap, and are not in clusters.
        """
        self.update_on(NumpyMemory.threads(), batch)

    def update_on(self, most: int, batch: Batch, scores: tuple[Array, Array] | None = None) -> None:
        """Add rows on at most so many threads, and write the loss and the probability of each into arrays (n,).

        Weights must not be 0 if arrays are passed.
        """
        if self.declaration.bootstrap and batch.rows is None and batch.cluster is None:
            raise ValueError(
                f"bootstrap={self.declaration.bootstrap} draws each row by a hash of its name, and these rows have "
                "none; pass key=, a name for each row, or cluster="
            )
        if batch.weight is not None and not batch.weight.all():
            batch = batch.take(batch.weight != 0)
        step = rows_together(self.declaration)
        starts = range(0, len(batch), step)
        threads = max(1, min(most, len(starts)))
        while len(self._parts) < threads:
            self._parts.append(Part(self.declaration))

        def add(thread: int) -> None:
            for start in starts[thread::threads]:
                here = slice(start, start + step)
                own = None if scores is None else (scores[0][here], scores[1][here])
                self._parts[thread].add(batch.take(here), own)

        if threads == 1:
            add(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add, range(threads)))

    def _whole(self) -> Part:
        """Add the parts up."""
        first, *others = self._parts
        for part in others:
            first.merge(part)
        self._parts = [first]
        return first

    def count_rows(self, n: int) -> None:
        """Count rows that are not scored here."""
        self._parts[0].totals.count(n, None)

    def count_bad_rows(self, counts: Mapping[str, int]) -> None:
        """Count rows that were left out, by their fault."""
        self._parts[0].count_bad_rows(counts)

    @property
    def n(self) -> int:
        """How many rows were added, those left out for a fault not counted."""
        return self._whole().totals.n

    @property
    def bad_rows(self) -> dict[str, int]:
        """How many rows were left out for each kind of fault."""
        return dict(self._whole().bad_rows)

    def merge(self, other: "State") -> None:
        """Add the rows of another state, which stays as it is.

        Raises
        ------
        ValueError
            If the other was declared differently.
        """
        if self.declaration != other.declaration:
            raise ValueError(_mismatch(self.declaration, other.declaration))
        self._whole().merge(other._whole())

    def to_bytes(self) -> bytes:
        """Return the state as bytes; states of the same rows have the same bytes, whatever the order was."""
        return pack(tree_of(self._whole()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """Read what `to_bytes` wrote.

        Raises
        ------
        ValueError
            If the bytes are something else, of another version, truncated, damaged or made up; the message says which.
        """
        tree = unpack(data)
        if "declaration" not in tree:
            raise ValueError(
                "this is a state of a language model's scores; read it by LanguageState.from_bytes"
            )
        try:
            columns = tree["declaration"]
            for name in ("classes", "slices"):
                columns[name] = tuple(columns[name])
            state = cls(Declaration(**columns))
            fill(state._parts[0], tree)
            same = state.to_bytes() == data
        except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise ValueError(f"{UNKNOWN}: {type(error).__name__}: {error}") from error
        if not same:
            raise ValueError(UNKNOWN)
        return state

    def __reduce__(self) -> tuple[Callable[[bytes], "State"], tuple[bytes]]:
        """Pickle the bytes, for engines that send states between processes."""
        return State.from_bytes, (self.to_bytes(),)

    def finalize(self, *, interval: float = 0.95, prior: Any = None) -> Evaluation:
        """Compute all scores; the state can be updated further.

        Parameters
        ----------
        interval : float, default 0.95
            The confidence of intervals.
        prior : array (C,), or number, optional
            The distribution against which skill is measured, in place of the base rates; of two classes also the
            probability of the positive one.
        """
        return finalize(self._whole(), interval=interval, prior=prior)


def _mismatch(own: Declaration, other: Declaration) -> str:
    names = [name for name in own.__dataclass_fields__ if getattr(own, name) != getattr(other, name)]
    words = ", ".join(f"{name} {getattr(own, name)!r} and {getattr(other, name)!r}" for name in names)
    return f"the states are declared differently: {words}; merge states of one declaration"
