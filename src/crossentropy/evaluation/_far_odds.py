"""Log-odds of two classes that no table of probabilities can tell apart: those beyond ±23."""

from typing import Any, NamedTuple

import numpy as np

from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._declaration import Declaration
from crossentropy.evaluation._exact import ExactSum, GroupSums
from crossentropy.evaluation._row_scores import surprisal

__all__ = ["FAR", "HIGHEST", "FarEntries", "FarOdds"]

Array = np.ndarray[Any, Any]
FAR = 23.0
#: A probability with these log-odds, or a little beyond.
TINY = 1e-10
#: Log-odds have places from 16 to 2^20, so many for each power of 2; all beyond are in the last one.
EACH, OCTAVES = 8, 16
PLACES = EACH * OCTAVES
HIGHEST = 2.0**20


class FarEntries(NamedTuple):
    """Mean log-odds of places, with the weights of their labels; float64 (m,)."""

    z: Array
    weight: Array
    positive: Array


class FarOdds:
    """Weight and log-odds of labels 0 and 1, by side and by log-odds in steps of 6 to 13 %; log-odds in exact sums."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        #: By side (below 0, above), place and label.
        self.weights = GroupSums(4 * PLACES)
        self.odds = GroupSums(4 * PLACES)

    def add(self, batch: Batch) -> None:
        """Add the rows whose log-odds are far; the others may be left out."""
        at, z = self._log_odds(batch.predictions)
        far = np.abs(z) >= FAR
        if not far.any():
            return
        at, z = at[far], z[far]
        size = np.minimum(np.abs(z), HIGHEST)
        fraction, exponent = np.frexp(size)
        place = (exponent - 5) * EACH + ((fraction - 0.5) * 2 * EACH).astype(np.int32)
        group = 2 * (np.minimum(place, PLACES - 1) + PLACES * (z > 0)).astype(np.int32)
        labels = batch.labels[at]
        labels = labels if labels.ndim == 1 else np.ascontiguousarray(labels[:, 1])
        ones = np.ones(len(at)) if batch.weight is None else batch.weight[at]
        for label in (0, 1):
            mass = labels if label else 1 - labels
            weight = ones * mass
            self.weights.add(weight, group + np.int32(label))
            self.odds.add((weight, size), group + np.int32(label))

    def _log_odds(self, x: Array) -> tuple[Array, Array]:
        """Return the places of all rows that may be far, and their log-odds."""
        kind = self.declaration.kind
        if x.ndim == 2 and kind == "proba":
            at = np.flatnonzero((x[:, 0] < TINY) | (x[:, 1] < TINY))
            p = x[at].astype(np.float64)
            return at, surprisal(p[:, 0]) - surprisal(p[:, 1])
        if x.ndim == 2:
            z = np.subtract(x[:, 1], x[:, 0], dtype=np.float64)
            return np.arange(len(z)), z
        low, high = {"proba": (TINY, 1 - TINY), "log_proba": (-FAR, -TINY), "logits": (-FAR, FAR)}[kind]
        if x.min() > low and x.max() < high:
            return np.empty(0, np.int64), np.empty(0)
        at = np.flatnonzero((x <= low) | (x >= high))
        own = x[at].astype(np.float64)
        if kind == "logits":
            return at, own
        below = own <= low
        least = np.where(below, own, 1 - own) if kind == "proba" else np.where(below, 0.5, -np.expm1(own))
        of_least = surprisal(least)
        if kind == "log_proba":
            return at, np.where(below, own, of_least)
        return at, np.where(below, -of_least, of_least)

    def merge(self, other: "FarOdds") -> None:
        """Add the rows of another."""
        self.weights.add_from(other.weights)
        self.odds.add_from(other.odds)

    def entries(self) -> FarEntries:
        """Return the places that have rows."""
        weights = np.asarray([float(ExactSum(x)) for x in self.weights.scaled()]).reshape(2, PLACES, 2)
        odds = np.asarray([float(ExactSum(x)) for x in self.odds.scaled()]).reshape(2, PLACES, 2)
        weight, size = weights.sum(axis=2), odds.sum(axis=2)
        used = weight > 0
        side = np.asarray([[-1.0], [1.0]]) * used
        return FarEntries(side[used] * size[used] / weight[used], weight[used], weights[..., 1][used])
