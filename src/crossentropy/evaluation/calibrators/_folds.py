"""Rows in parts, each of which is held out once."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._hashing import hash_text, hash_values, mixed
from crossentropy.evaluation._paired import mean_over_rows
from crossentropy.evaluation.calibrators._rows import Rows, condense, row_losses

__all__ = ["FOLDS", "Folds", "Losses", "fold_of_clusters", "folds"]

Array = np.ndarray[Any, Any]
FOLDS = 5


def folds(n: int) -> Array:
    """Return the fold of each row, by a hash of its number; int8."""
    return (hash_values(np.arange(n), salt="fold") % np.uint64(FOLDS)).astype(np.int8)


def fold_of_clusters(cluster: Array) -> Array:
    """Return the fold of each row, which the rows of its cluster share, by the cluster's hash; int8."""
    return (mixed(cluster ^ np.uint64(hash_text("fold"))) % np.uint64(FOLDS)).astype(np.int8)


class Losses(NamedTuple):
    """The loss of each row (n,), and their weighted mean; in nats."""

    by_row: Array
    mean: float


class Folds:
    """Rows sorted by their folds."""

    def __init__(self, rows: Rows) -> None:
        fold = folds(len(rows)) if rows.cluster is None else fold_of_clusters(rows.cluster)
        #: All rows, and the places of those of each fold among them.
        self.rows = rows.take(np.argsort(fold, kind="stable"))
        ends = np.cumsum(np.bincount(fold, minlength=FOLDS)).tolist()
        self.places = [slice(*ends_of) for ends_of in zip([0, *ends], ends, strict=False)]
        self.parts = [self.rows.take(here) for here in self.places]

    def least(self) -> int:
        """Return the number of rows that are left when the largest fold is held out."""
        return len(self.rows) - max(map(len, self.parts))

    @cached_property
    def before(self) -> "Losses":
        """The losses as they were predicted."""
        return self.losses(row_losses(self.rows.scores, self.rows.targets))

    def losses(self, by_row: Array) -> "Losses":
        """Return losses with their mean."""
        return Losses(by_row, mean_over_rows(by_row, self.rows.weight).value)

    def without(self, k: int) -> Rows:
        """Return the rows of all folds but one."""
        kept = np.ones(len(self.rows), bool)
        kept[self.places[k]] = False
        return self.rows.take(kept)

    def training(self, k: int) -> Rows:
        """Return the rows of all folds but one, condensed where they are many of two classes."""
        return self.without(k) if self._condensed is None else self._condensed[k]

    @cached_property
    def _condensed(self) -> list[Rows] | None:
        cells = condense(self.parts)
        if cells is None:
            return None
        condensed = []
        for k, part in enumerate(self.parts):
            first, *others = (own for j, own in enumerate(cells) if j != k)
            condensed.append(sum(others, start=first).rows(len(self.rows) - len(part)))
        return condensed
