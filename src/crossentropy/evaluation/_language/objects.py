"""From rows that are objects, as JSON lines are, to `Reading`."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arguments.words import listed
from crossentropy.evaluation._faults import SKIPPING, BadData
from crossentropy.evaluation._hashing import hash_values, mixed
from crossentropy.evaluation._language.arrays import reading_of_rows
from crossentropy.evaluation._language.counting import counted, with_counts
from crossentropy.evaluation._language.names import Names
from crossentropy.evaluation._language.responses import NotScored, ScoredText, number, texts_in
from crossentropy.evaluation._language.texts import COUNTS, Reading

__all__ = ["ObjectReader"]

#: Log-probabilities that are collected before they are added.
ENOUGH = 1 << 17


class _Row(NamedTuple):
    """A text, or a token, with what is known of it."""

    #: The number of its row, and of the text in it.
    place: tuple[int, int]
    scored: ScoredText
    counts: tuple[float | None, ...]
    text: Any
    document: Any


class ObjectReader:
    """Reads objects, and counts what it leaves out.

    Parameters
    ----------
    names : Names
        Paths in the objects, as ``"prompt"`` or ``"metadata.doc"``. Without one for the log-probabilities, they are
        looked for where servers write them.
    skip : bool
        Whether an object without log-probabilities is left out, or an error.
    """

    def __init__(self, names: Names, *, skip: bool) -> None:
        self.names, self.skip = names, skip
        self.left_out = 0
        self.generated = 0

    def read(self, objects: Iterable[Mapping[str, Any]], origin: str) -> Iterator[Reading]:
        """Read rows, some of them at a time."""
        shapes: dict[Any, list[_Row]] = {}  # rows of one shape go together
        size = 0
        for place, row in enumerate(objects):
            try:
                texts = list(self._rows(row, place))
            except NotScored as error:
                if not self.skip:
                    where = f"{origin}, row {place}" if origin else f"row {place}"
                    raise BadData(f"{where}: {error}{SKIPPING}") from None
                self.left_out += 1
                continue
            for text in texts:
                shapes.setdefault(self._shape(text), []).append(text)
                values = text.scored.log_probs
                size += len(values) if isinstance(values, list) else 1
                self.generated += text.scored.generated
            if size >= ENOUGH:
                yield from (self._reading(rows, origin) for rows in shapes.values())
                shapes, size = {}, 0
        yield from (self._reading(rows, origin) for rows in shapes.values())

    def _rows(self, row: Mapping[str, Any], place: int) -> Iterator[_Row]:
        """Find the texts of an object."""
        found = texts_in(row) if self.names.log_probs is None else [_at_path(row, self.names.log_probs)]
        for i, scored in enumerate(found):
            counts: dict[str, float | None] = {
                name: None if path is None else _count(_at(path, scored.about))
                for name, path in self.names.counts().items()
            }
            if scored.bytes is not None and self.names.text is None:
                counts["bytes"] = scored.bytes if counts["bytes"] is None else counts["bytes"]
            text, document = scored.text, None
            if self.names.text is not None:
                text = _at(self.names.text, scored.about)
                if not isinstance(text, str):
                    raise NotScored(f"it has no text at {self.names.text!r}, but {_in_words(text)}")
                scored = scored._replace(whole=True)
            if self.names.document is not None:
                document = _at(self.names.document, scored.about)
                if document is None or isinstance(document, (Mapping, list)):
                    raise NotScored(
                        f"it has no document at {self.names.document!r}, but {_in_words(document)}"
                    )
            yield _Row((place, i), scored, tuple(counts.values()), text, document)

    def _shape(self, row: _Row) -> tuple[Any, ...]:
        known = tuple(x is not None for x in (*row.counts, row.text))
        return isinstance(row.scored.log_probs, list), row.scored.whole, *known

    def _reading(self, rows: Sequence[_Row], origin: str) -> Reading:
        """Put rows of one shape together."""
        first = rows[0]
        each = [row.scored.log_probs for row in rows]
        many = isinstance(first.scored.log_probs, list)
        flat = [x for values in each for x in values] if many else each  # type: ignore[union-attr]
        sums = not many and (self.names.log_probs is None or self.names.tokens is not None)
        missing = np.asarray([x is None for x in flat], bool)
        places = np.asarray([row.place for row in rows], np.int64)
        document = None
        if self.names.document is not None:
            document = hash_values([row.document for row in rows])
        elif many or sums:
            document = hash_values(places[:, 0], salt=origin) ^ mixed(places[:, 1].astype(np.uint64))
        counts = {
            name: None if first.counts[i] is None else np.asarray([row.counts[i] for row in rows], np.float64)
            for i, name in enumerate(COUNTS)
        }
        if first.text is not None:
            counts = with_counts(counts, counted([row.text for row in rows], words=many or sums))
        return reading_of_rows(
            np.asarray([0.0 if x is None else x for x in flat], np.float64),
            missing,
            np.asarray([len(values) for values in each], np.int64) if many else None,  # type: ignore[arg-type]
            places[:, 0].copy(),
            counts,
            document,
            sums=sums,
            origin=origin,
            whole=first.scored.whole,
        )


def _at_path(row: Mapping[str, Any], path: str) -> ScoredText:
    """Take the log-probabilities that are at a path."""
    value = _at(path, row)
    if isinstance(value, (list, tuple, np.ndarray)):
        return ScoredText([number(x) for x in value], None, about=row)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return ScoredText(number(value), None, about=row)
    raise NotScored(f"it has no number and no list of numbers at {path!r}, but {_in_words(value)}")


def _in_words(value: Any) -> str:
    """Write a value, cut off if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _at(path: str, row: Any) -> Any:
    """Return what is at a path, as in ``"metadata.doc"`` or ``"bits_per_byte.1"``."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(row, Mapping) and step in row:
            row = row[step]
        elif isinstance(row, list) and step.isdigit() and int(step) < len(row):
            row = row[int(step)]
        else:
            known = f"; its names are {listed(row)}" if isinstance(row, Mapping) else ""
            raise NotScored(f"it has nothing at {path!r}{known}")
    return row


def _count(x: Any) -> float:
    found = number(x)
    return math.nan if found is None else found
