"""Log-probabilities of some texts: as they were read, and checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossentropy.evaluation._faults import SKIPPING, BadData, Fault
from crossentropy.evaluation._hashing import hash_text, hash_values

__all__ = ["COUNTS", "UNLIKELY", "Counts", "Reading", "Texts", "checked"]

Array = np.ndarray[Any, Any]
#: What a score may be divided by.
COUNTS = ("tokens", "bytes", "characters", "words")
Counts = Mapping[str, Array | None]
#: What servers write for −∞, or for a token that is too unlikely for them to say.
UNLIKELY = -9999.0


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows as they were read, each with one log-probability or a list of them."""

    #: float64 array of all rows' log-probabilities; anything where they are missing.
    values: Array
    missing: Array
    #: How many of them each row has, int64; None if a row is one token or the sum of a text.
    lengths: Array | None
    #: int64 array: the number of each row where it is from.
    names: Array
    #: float64 arrays, one number a row; None for what is not known. Tokens are counted unless the rows are sums.
    counts: Counts
    #: uint64 array; None if each row with a list or a sum is a document of its own, or all tokens are of one.
    document: Array | None = None
    origin: str = ""
    #: Whether each row has the log-probability of a whole text.
    sums: bool = False
    #: Whether the counts of a row are those of its tokens without a log-probability too.
    whole: bool = True
    faults: list[Fault] = field(default_factory=list)

    def where(self, row: int) -> str:
        """Name a row for a message."""
        return f"{self.origin}, row {self.names[row]}" if self.origin else f"row {self.names[row]}"


@dataclass(frozen=True, eq=False)
class Texts:
    """Checked rows; those without a scored token are in no sum."""

    #: float64 (values,): at most 0, or −∞.
    log_prob: Array
    #: int64 (values,): the row of each, and its place in it.
    row: Array
    place: Array
    #: int64 (rows,), or None for what is not known.
    counts: Counts
    document: Array
    #: Whether the row has tokens that are scored.
    scored: Array
    names: Array
    origin: str
    #: Whether a row is one token, which has no place in it.
    single: bool
    #: Tokens without a log-probability, and the texts of which such tokens are counted elsewhere.
    unscored: int
    partly_scored: int


def checked(reading: Reading, *, skip: bool) -> tuple[Texts, dict[str, int]]:
    """Check rows; a bad one is an error, or is left out.

    Returns
    -------
    (Texts, dict of str to int)
        The rows, and how many were left out for each kind of fault.

    Raises
    ------
    BadData
        Unless `skip`, for the first bad row.
    """
    n = len(reading.names)
    lengths = np.ones(n, np.int64) if reading.lengths is None else reading.lengths
    row = np.repeat(np.arange(n), lengths)
    bad, left_out = _refused(reading, row, skip=skip)
    scored = ~reading.missing & ~bad[row]
    tokens = np.bincount(row[scored], minlength=n)
    counts = {
        name: None if x is None else np.where((tokens > 0) & ~bad, x, 0).astype(np.int64)
        for name, x in reading.counts.items()
    }
    values = reading.values[scored]
    if not reading.sums:
        counts["tokens"] = tokens
        values = np.where(values == UNLIKELY, -np.inf, values)
    unscored = np.bincount(row[reading.missing & ~bad[row]], minlength=n)
    partly = (
        (unscored > 0) & (tokens > 0) & reading.whole if reading.lengths is not None else np.zeros(n, bool)
    )
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    texts = Texts(
        values,
        row[scored],
        place[scored],
        counts,
        _documents(reading),
        tokens > 0,
        reading.names,
        reading.origin,
        reading.lengths is None,
        int(unscored.sum()),
        int(partly.sum()),
    )
    return texts, left_out


def _documents(reading: Reading) -> Array:
    if reading.document is not None:
        return reading.document
    if reading.lengths is None and not reading.sums:
        return np.full(len(reading.names), hash_text(reading.origin), np.uint64)
    return hash_values(reading.names, salt=reading.origin)


def _refused(reading: Reading, row: Array, *, skip: bool) -> tuple[Array, dict[str, int]]:
    """Return which rows are left out, and how many for each fault; without `skip` the first is an error."""
    bad = np.zeros(len(reading.names), bool)
    counts: dict[str, int] = {}
    for fault in (*reading.faults, *_faults(reading, row)):
        found = fault.rows & ~bad
        if not found.any():
            continue
        if not skip:
            i = int(found.argmax())
            raise BadData(f"{reading.where(i)}: {fault.sentence(i)}{SKIPPING}")
        counts[fault.kind] = counts.get(fault.kind, 0) + int(found.sum())
        bad |= found
    return bad, counts


def _faults(reading: Reading, row: Array) -> Iterator[Fault]:
    n, x, there = len(reading.names), reading.values, ~reading.missing

    def rows_of(values: Array) -> Array:
        return np.bincount(row[values], minlength=n) > 0

    def first(values: Array, i: int) -> Any:
        return x[values & (row == i)][0]

    nan = there & np.isnan(x)
    if nan.any():
        yield Fault(
            "nan",
            rows_of(nan),
            lambda i: (
                "a log-probability is NaN; pass None, or null, for the first token of a text, which has none"
            ),
        )
    above = there & (x > 0)
    if above.any():
        yield Fault("range", rows_of(above), lambda i: _positive(float(first(above, i))))
    if reading.sums:
        if reading.missing.any():
            yield Fault(
                "null", rows_of(reading.missing), lambda i: "a text has no log-probability; fill it in"
            )
    elif reading.lengths is not None:
        gap = reading.missing[1:] & there[:-1] & (row[1:] == row[:-1])
        if gap.any():
            rows = np.bincount(row[1:][gap], minlength=n) > 0
            yield Fault(
                "gap",
                rows,
                lambda i: (
                    "a token after a scored one has no log-probability; only the first tokens of a text may have none"
                ),
            )
    for name, counts in reading.counts.items():
        if counts is not None and len(counts):
            wrong = ~((counts >= 0) & (counts < 2.0**53) & (counts == np.floor(counts))) & rows_of(there)
            if wrong.any():
                words = f"the number of {name} is {{}}; pass how many the text has, or the text"
                yield Fault("count", wrong, lambda i, c=counts, w=words: w.format(c[i]))  # type: ignore[misc]


def _positive(x: float) -> str:
    """Say what a number above 0 may be, and why it is none of a perplexity that can be averaged."""
    advice = (
        "Of losses in nats pass their negative. Perplexities cannot be scored: the mean of perplexities is not the "
        "perplexity of all tokens, because exp is convex and long texts count no more than short ones"
    )
    return f"the log-probability is {x:g}; it must be at most 0. {advice}"
