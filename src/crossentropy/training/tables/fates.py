"""What becomes of each column of a table, for the user, for ``history.json``, and for reading another table alike."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fate:
    """What becomes of a column.

    Attributes
    ----------
    column : str
    use : str
        ``"label"``, ``"number"``, ``"category"``, ``"date"``, ``"id"`` or ``"dropped"``.
    remarks : tuple of str
        Why it is dropped, or how it was read.
    distinct, missing : int
        Different values, and rows without one.
    form : dict
        How its texts were read: ``decimal`` and ``unit`` of numbers, ``format`` of dates.
    """

    column: str
    use: str
    remarks: tuple[str, ...] = ()
    distinct: int = 0
    missing: int = 0
    form: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as values of JSON."""
        return asdict(self) | {"remarks": list(self.remarks)}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Fate":
        """Make the fate whose `to_json` this is."""
        return cls(**(told | {"remarks": tuple(told["remarks"])}))


@dataclass(frozen=True)
class FateGroup:
    """Columns with the same use and remarks, as one row of the table that is printed."""

    columns: list[str]
    use: str
    remarks: tuple[str, ...]
    missing: int

    @property
    def names(self) -> str:
        """The columns' names, the middle ones left out if there are many."""
        if len(self.columns) > 4:
            return f"{', '.join(self.columns[:2])}, …, {self.columns[-1]} ({len(self.columns)} columns)"
        return ", ".join(self.columns)


def grouped(fates: list[Fate]) -> Iterator[FateGroup]:
    """Put columns with the same use and remarks together, in the order of their first ones."""
    groups: dict[tuple[str, tuple[str, ...], bool], FateGroup] = {}
    for fate in fates:
        key = (fate.use, fate.remarks, fate.missing > 0)
        group = groups.setdefault(key, FateGroup([], fate.use, fate.remarks, 0))
        group.columns.append(fate.column)
        groups[key] = FateGroup(group.columns, fate.use, fate.remarks, group.missing + fate.missing)
    yield from groups.values()
