"""Which columns of a table hold what, and which class each column of predictions belongs to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossentropy._arguments.words import listed, similar
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.labels import kind_of_texts, typed
from crossentropy.evaluation._sources.table import Table

__all__ = ["NamedColumns", "as_names", "by_class", "find_columns"]


@dataclass(frozen=True)
class NamedColumns:
    """The columns of one kind in a table."""

    names: tuple[str, ...]
    #: What tells each name from the others: the class it may belong to.
    parts: tuple[str, ...]
    #: Whether they were found by a pattern, in the order of the table, and not listed in an order of the caller's.
    by_pattern: bool


def as_names(value: Any, argument: str) -> str | tuple[str, ...]:
    """Check that an argument names columns, as it has to where rows are read from a source."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(x, str) for x in value):
        return tuple(value)
    raise TypeError(
        f"{argument} has type {type(value).__name__}; with a source it is the name of a column, a list of names, or a "
        "pattern such as 'p_*'"
    )


def find_columns(spec: str | Sequence[str], table: Table) -> NamedColumns:
    """Find columns by a name, a list of names, or a pattern, in which ``*`` stands for anything.

    Raises
    ------
    ValueError
        If there is no such column; the message has the nearest name.
    BadData
        If two columns have the name.
    """
    if not isinstance(spec, str):
        names = [_one(name, table) for name in spec]
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise ValueError(f"column {twice!r} is listed twice, in {listed(names)}; pass each column once")
        return NamedColumns(tuple(names), tuple(_parts(names)), by_pattern=False)
    if spec in table.names or "*" not in spec:
        name = _one(spec, table)
        return NamedColumns((name,), (name,), by_pattern=False)
    pattern = re.compile("(.*)".join(map(re.escape, spec.split("*"))), re.DOTALL)
    found = [match for name in table.names if (match := pattern.fullmatch(name))]
    if not found:
        raise ValueError(
            f"no column of {table.words()} matches {spec!r}; its columns are {listed(table.names)}"
        )
    names = [_one(match[0], table) for match in found]
    parts = [match[1] for match in found] if pattern.groups == 1 else _parts(names)
    return NamedColumns(tuple(names), tuple(parts), by_pattern=True)


def _one(name: str, table: Table) -> str:
    count = list(table.names).count(name)
    if count == 0:
        raise ValueError(
            f"{table.words()} has no column {name!r}; its columns are {listed(table.names)}."
            f"{similar(name, table.names)}"
        )
    if count > 1:
        raise BadData(
            f"{table.words()} has {count} columns with the name {name!r}; give each a name of its own"
        )
    return name


def _parts(names: Sequence[str]) -> list[str]:
    """Take off what all names begin with, up to a separator.

    >>> _parts(["p_cat", "p_cow"]), _parts(["cat", "cow"])
    (['cat', 'cow'], ['cat', 'cow'])
    """
    first, last = min(names), max(names)
    same = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    heads = [i + 1 for i, letter in enumerate(first[:same]) if letter in "_-.: ["]
    return [name[heads[-1] :] if heads else name for name in names]


def by_class(columns: NamedColumns, classes: Sequence[Any], table: Table) -> tuple[str, ...]:
    """Return the columns of predictions in the order of the classes.

    Columns that a pattern found are matched by name. Listed columns are in the order of the classes, unless their names
    say otherwise.

    Raises
    ------
    ValueError
        If names and classes do not fit; the message has both lists.
    """
    texts = [_text(label) for label in classes]
    both = f"the columns are {listed(columns.names)}, and the classes {listed(classes)}"
    if len(texts) != len(columns.names):
        raise ValueError(
            f"{table.words()} has {len(columns.names)} columns of predictions for {len(texts)} classes: {both}; pass "
            "one column for each class"
        )
    parts = [
        part if part in texts else _text(*typed([part], kind_of_texts([part]))) for part in columns.parts
    ]
    if columns.by_pattern:
        if sorted(parts) != sorted(texts):
            raise ValueError(
                f"the columns of {table.words()} are not those of the classes: {both}; pass classes= that name the "
                "columns, or list the columns in the order of the classes"
            )
        return tuple(columns.names[parts.index(text)] for text in texts)
    if parts != texts and sorted(parts) == sorted(texts):
        raise ValueError(
            f"the columns of {table.words()} are in another order than the classes: {both}; pass both in one order"
        )
    return columns.names


def _text(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
