"""One exact, mergeable state of the scores of a language model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from crossentropy.evaluation._clusters import ClusterSums
from crossentropy.evaluation._container import pack, unpack
from crossentropy.evaluation._exact import ExactSum, exact_sums
from crossentropy.evaluation._faults import skips
from crossentropy.evaluation._language.arrays import reading_of_arrays
from crossentropy.evaluation._language.finalize import finalize
from crossentropy.evaluation._language.texts import COUNTS, Reading, Texts, checked
from crossentropy.evaluation._state_tree import into_clusters, of_clusters
from crossentropy.evaluation.language_result import LanguageScore

__all__ = ["LanguageState"]

#: How many tokens of infinite loss are named.
NAMED = 20


class LanguageState:
    """Everything that the scores of a language model need about the texts seen so far.

    States add up, as those of `State` do: the same rows in any batches, in any order and merged in any order give the
    same bits, because sums are exact. A state has five sums for each document, some 200 bytes; above 16384 documents
    these are joined at random into 4096.

    Parameters
    ----------
    context, stride : int, optional
        How many tokens the model saw at most, and by how many its windows moved on. They are recorded, since scores of
        other windows are other numbers.
    prefix : str, optional
        The token before each text, as ``"<s>"``. It is recorded, and says that what has no log-probability at the start
        of a text is this token and no part of the text.

    Examples
    --------
    >>> from crossentropy.evaluation import LanguageState
    >>> state, other = LanguageState(context=1024), LanguageState(context=1024)
    >>> state.update([[-1.0, -2.0], [-3.0]], text=["one two", "three"])
    >>> other.update([[-2.0]], text=["four"], origin="another file")
    >>> state.merge(LanguageState.from_bytes(other.to_bytes()))
    >>> state.finalize().nats_per_token
    2.0
    """

    def __init__(
        self, *, context: int | None = None, stride: int | None = None, prefix: str | None = None
    ) -> None:
        self.provenance: dict[str, Any] = {"context": context, "stride": stride, "prefix": prefix}
        for name in ("context", "stride"):
            x = self.provenance[name]
            if x is not None and (not isinstance(x, int) or x < 1):
                raise ValueError(f"{name} is {x!r}; pass the number of tokens, at least 1")
        self._nats = ExactSum()
        self._totals = dict.fromkeys(COUNTS, 0)
        self._unknown = dict.fromkeys(COUNTS, 0)
        self._counts = dict.fromkeys(("scored", "unscored", "infinite", "partly_scored", "generated"), 0)
        self._rows = 0
        self._clusters = ClusterSums(("nats", *COUNTS))
        self._infinite: list[dict[str, Any]] = []
        self._bad_rows: dict[str, int] = {}

    def update(
        self,
        log_probs: Any,
        *,
        tokens: Any = None,
        text: Any = None,
        bytes: Any = None,
        characters: Any = None,
        words: Any = None,
        document: Any = None,
        origin: str = "",
        first_row: int | None = None,
        on_bad_rows: str = "error",
    ) -> None:
        """Add texts, or tokens; the arguments are those of `language_score`.

        Parameters
        ----------
        log_probs, tokens, text, bytes, characters, words, document, on_bad_rows
            As in `language_score`.
        origin : str
            Where the rows are from, as the name of a file.
        first_row : int, optional
            The number of the first row there; that of the rows so far if left out. Rows are named by `origin` and
            number. So are the documents of rows without `document`: parts whose states are merged need other names.

        Raises
        ------
        BadData
            If a row cannot be scored.
        ValueError
            If arguments do not fit each other.
        """
        counts = {"tokens": tokens, "bytes": bytes, "characters": characters, "words": words}
        first = self._rows if first_row is None else first_row
        reading = reading_of_arrays(log_probs, counts, text, document, first_row=first, origin=origin)
        self.add(reading, skip=skips(on_bad_rows))
        self._rows += len(reading.names)

    def add(self, reading: Reading, *, skip: bool) -> None:
        """Check rows that a source has read, and add them."""
        texts, left_out = checked(reading, skip=skip)
        self.count_bad_rows(left_out)
        self._counts["unscored"] += texts.unscored
        self._counts["partly_scored"] += texts.partly_scored
        infinite = np.isinf(texts.log_prob)
        loss = np.where(infinite, 0.0, -texts.log_prob)
        if len(loss):
            self._nats += exact_sums([loss])[0]
        self._counts["scored"] += len(loss)
        self._counts["infinite"] += int(infinite.sum())
        self._name(texts, infinite)
        counts = [texts.counts.get(name) for name in COUNTS]
        for name, count in zip(COUNTS, counts, strict=True):
            if count is None:
                self._unknown[name] += int(texts.scored.sum())
            else:
                self._totals[name] += int(count.sum())
        as_floats = [None if count is None else count.astype(np.float64) for count in counts]
        self._clusters.add(texts.document[texts.row], loss, *(None for _ in COUNTS))
        self._clusters.add(texts.document, None, *as_floats)

    def _name(self, texts: Texts, infinite: np.ndarray[Any, Any]) -> None:
        """Keep the first tokens of infinite loss."""
        origin = {"origin": texts.origin} if texts.origin else {}

        def named(i: int) -> dict[str, Any]:
            place = {} if texts.single else {"token": int(texts.place[i])}
            return {**origin, "row": int(texts.names[texts.row[i]]), **place}

        found = np.flatnonzero(infinite)
        first = found[np.lexsort((texts.place[found], texts.names[texts.row[found]]))][:NAMED]
        self._keep([named(i) for i in first.tolist()])

    def _keep(self, named: list[dict[str, Any]]) -> None:
        def order(token: dict[str, Any]) -> tuple[Any, ...]:
            return token.get("origin", ""), token["row"], token.get("token", 0)

        self._infinite = sorted([*self._infinite, *named], key=order)[:NAMED]

    def count_bad_rows(self, counts: Mapping[str, int]) -> None:
        """Count rows that were left out, by their fault."""
        for kind, count in counts.items():
            self._bad_rows[kind] = self._bad_rows.get(kind, 0) + count

    def count_generated(self, tokens: int) -> None:
        """Count tokens that were left out because the model wrote them behind the text."""
        self._counts["generated"] += tokens

    def merge(self, other: "LanguageState") -> None:
        """Add the texts of another state, which stays as it is.

        Raises
        ------
        ValueError
            If context, stride or prefix of the other are others.
        """
        if self.provenance != other.provenance:
            raise ValueError(
                f"the states are of scores with {self.provenance} and with {other.provenance}; merge states of one kind"
            )
        self._nats += other._nats
        for own, its in (
            (self._totals, other._totals),
            (self._unknown, other._unknown),
            (self._counts, other._counts),
        ):
            for name, count in its.items():
                own[name] += count
        self._rows += other._rows
        self._clusters.merge(other._clusters)
        self._keep(other._infinite)
        self.count_bad_rows(other._bad_rows)

    def to_bytes(self) -> bytes:
        """Return the state as bytes; states of the same rows have the same bytes, whatever the order was."""
        return pack(
            {
                "language": self.provenance,
                "nats": list(self._nats),
                "totals": self._totals,
                "unknown": self._unknown,
                "counts": self._counts,
                "rows": self._rows,
                "clusters": of_clusters(self._clusters),
                "infinite": self._infinite,
                "bad_rows": self._bad_rows,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "LanguageState":
        """Read what `to_bytes` wrote.

        Raises
        ------
        ValueError
            If the bytes are something else, of another version, truncated or damaged; the message says which.
        """
        tree = unpack(data)
        if "language" not in tree:
            raise ValueError("this is a state of predictions; read it by State.from_bytes")
        state = cls(**tree["language"])
        state._nats = ExactSum(*tree["nats"])
        for name in ("totals", "unknown", "counts", "rows", "infinite", "bad_rows"):
            setattr(state, f"_{name}", tree[name])
        into_clusters(state._clusters, tree["clusters"])
        return state

    def __reduce__(self) -> tuple[Callable[[bytes], "LanguageState"], tuple[bytes]]:
        """Pickle the bytes, for engines that send states between processes."""
        return LanguageState.from_bytes, (self.to_bytes(),)

    def finalize(self, *, interval: float = 0.95) -> LanguageScore:
        """Compute all scores; the state can be updated further.

        Parameters
        ----------
        interval : float, default 0.95
            The confidence of intervals.

        Raises
        ------
        ValueError
            If no token was scored.
        """
        known = {
            name: total if total and not self._unknown[name] else None for name, total in self._totals.items()
        }
        return finalize(
            self._nats,
            known,
            dict(zip(self._clusters.columns, self._clusters.sums(), strict=True)),
            self._counts,
            confidence=interval,
            infinite_tokens=list(self._infinite),
            bad_rows=dict(sorted(self._bad_rows.items())),
            **self.provenance,
        )
