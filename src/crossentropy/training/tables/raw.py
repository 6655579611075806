"""A table as its file holds it: named columns, their types not yet found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from crossentropy._arguments.words import listed
from crossentropy.training.errors import InputError


@dataclass(frozen=True)
class RawTable:
    """Columns as they were read.

    Attributes
    ----------
    columns : dict
        From a column's name to its values: texts as written, or values of the types of Parquet.
    notices : list of str
        What was done to read them.
    decimal : str
        The decimal mark of the file's numbers.
    unnamed : frozenset of str
        Names that were made up here, or by the program that wrote the file for its row index.
    """

    columns: dict[str, pa.ChunkedArray]
    notices: list[str] = field(default_factory=list)
    decimal: str = "."
    unnamed: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def checked_names(names: Sequence[str], source: str) -> tuple[list[str], frozenset[str]]:
    """Strip column names and name those without one, or raise InputError if two are the same.

    Returns
    -------
    names : list of str
    unnamed : frozenset of str
        The names that say nothing: those made up here, and pandas' ``Unnamed: 0`` and ``__index_level_0__``.
    """
    stripped = [name.strip() for name in names]
    found = [name or f"unnamed column {i + 1}" for i, name in enumerate(stripped)]
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise InputError(
            f"{source} has several columns of the same name: {listed(twice)}. Rename or remove them."
        )
    made_up = {name for name, given in zip(found, stripped, strict=True) if not given}
    pandas = {name for name in found if name.startswith(("Unnamed: ", "__index_level_"))}
    return found, frozenset(made_up | pandas)
