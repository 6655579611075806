"""What is known about some rows: all sums and counts, to which rows and other parts are added."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._batch import Batch
from crossentropy.evaluation._cluster_scores import ClusterScores
from crossentropy.evaluation._declaration import KINDS, Declaration
from crossentropy.evaluation._exact import GroupSums, add_poisson
from crossentropy.evaluation._far_odds import FarOdds
from crossentropy.evaluation._groups import GroupScores, GroupTerms, GroupTotals, two_classes
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._prediction_table import PredictionTable, count_on_grid, grid_bits, grid_size
from crossentropy.evaluation._reliability_bins import ReliabilityBins
from crossentropy.evaluation._row_scores import CLASSWISE, RowScorer, RowScores, surprisal
from crossentropy.evaluation._sweep import can_sweep, sweep
from crossentropy.evaluation._totals import HIGH, Costs, Totals, costs_of
from crossentropy.evaluation._worst_rows import LossHistogram, WorstRows

__all__ = ["Part", "rows_together"]

Array = np.ndarray[Any, Any]
RANKS = 10
LEAST = 5e-324


def rows_together(d: Declaration) -> int:
    """Return how many rows to add at once, so that what they need stays in a cache."""
    return 1 << 17 if can_sweep(d) else max(1024, min(1 << 16, (1 << 18) // len(d.classes)))


class Part:
    """The sums and counts of some rows; `State` adds rows to several of them at once."""

    def __init__(self, declaration: Declaration) -> None:
        d = self.declaration = declaration
        classes = len(d.classes)
        self.in_weights = d.weighted or d.soft
        self.totals = Totals()
        several = classes > 2 and not d.soft
        self.classes = GroupScores(classes, weighted=d.weighted, scored=False) if several else None
        self.masses = GroupSums(classes) if d.soft else None
        self.ranks = GroupSums(RANKS + 1) if several else None
        self.bins = ReliabilityBins(d.bins, weighted=self.in_weights)
        self.tables = self._make_tables()
        #: None in a state of an earlier release too.
        self.far = FarOdds(d) if d.is_binary else None
        self.slices = [GroupScores(8, weighted=d.weighted) for _ in d.slices]
        self.slice_names: list[dict[str, int]] = [{} for _ in d.slices]
        self.clusters = ClusterScores(d.bins, 0 if d.soft else classes) if d.clustered else None
        self.replicates = (GroupSums(d.bootstrap), GroupSums(d.bootstrap)) if d.bootstrap else None
        self.worst = WorstRows(d.worst)
        self.histogram = LossHistogram()
        self.bad_rows: dict[str, int] = {}
        self._scorer = RowScorer(d)

    def _make_tables(self) -> list[PredictionTable]:
        """Make the tables of predictions: of the positive class; of many classes, the most probable one, then each."""
        classes = len(self.declaration.classes)
        # A bound method would make a circle of references, which keeps the memory of many sums for some time.
        probability = partial(_probability, self.declaration)
        fine = PredictionTable(grid_bits(1), weighted=self.in_weights, probability=probability)
        if classes == 2 or classes > CLASSWISE:
            return [fine]
        bits = grid_bits(classes)
        counts = np.zeros((classes, grid_size(bits), 2), np.int64)
        each = [
            PredictionTable(bits, weighted=self.in_weights, probability=probability, counts=own)
            for own in counts
        ]
        self._class_counts = counts
        return [fine, *each]

    def add(self, batch: Batch, scores: tuple[Array, Array] | None = None) -> None:
        """Add at most `rows_together` rows, and write their losses and probabilities if arrays (n,) are passed."""
        two = self.declaration.is_binary and not self.declaration.soft
        self.totals.count(len(batch), batch.labels if two else None)
        add = self._sweep if can_sweep(self.declaration) else self._score
        high, loss = add(batch, scores)
        costs = costs_of(loss, high.weight)
        self.totals.add_high(loss, high.labels if two else None, high.weight, costs)
        if self.far is not None:
            self.far.add(batch)
        self.worst.add(high, loss, costs.all)

    def _sweep(self, batch: Batch, scores: tuple[Array, Array] | None) -> tuple[Batch, Array]:
        """Add rows, and return those with a high loss, and their losses."""
        by_row = bool(self.slices) or self.clusters is not None or self.replicates is not None
        limit = min(HIGH, self.worst.least)
        swept = sweep(
            self._scorer,
            batch,
            self.bins,
            self.histogram,
            self.tables[0],
            limit,
            by_row=by_row or scores is not None,
        )
        self.totals.add_unweighted(len(batch), swept.sums)
        if scores is not None:
            scores[0][:], scores[1][:] = swept.loss, swept.probability
        if by_row and swept.loss is not None and swept.probability is not None:
            costs = costs_of(swept.loss, None)
            self._add_by_row(batch, swept.bounded, costs, swept.probability, batch.labels)
        return batch.take(swept.places), swept.high

    def _score(self, batch: Batch, kept: tuple[Array, Array] | None) -> tuple[Batch, Array]:
        """Add rows, and return all of them, and their losses."""
        batch = batch.wide()
        scores = self._scorer(batch)
        if kept is not None:
            kept[0][:], kept[1][:] = scores.loss, scores.probability
        costs = costs_of(scores.loss, batch.weight)
        two = self.declaration.is_binary and not self.declaration.soft
        self.totals.add(scores, batch.labels if two else None, batch.weight, costs)
        self._add_classes(batch, scores, costs)
        hits = self._hits(batch, scores)
        self._add_calibration(batch, scores, hits)
        self.histogram.add(costs.finite)
        self._add_by_row(batch, scores.bounded, costs, scores.probability, hits)
        return batch, scores.loss

    def _hits(self, batch: Batch, scores: RowScores) -> Array:
        """Return whether what has `RowScores.probability` occurred, or how much of it in a soft label."""
        if self.declaration.is_binary:
            return batch.labels if batch.labels.ndim == 1 else np.ascontiguousarray(batch.labels[:, 1])
        correct = scores.bounded["correct"]
        return correct if self.declaration.soft else correct.astype(np.int64)

    def _add_by_row(
        self, batch: Batch, bounded: Mapping[str, Array], costs: Costs, probability: Array, hits: Array
    ) -> None:
        """Add to slices, clusters and replicates."""
        terms = _terms(batch.weight, bounded, costs)
        for i, column in enumerate(batch.slices):
            known = self.slice_names[i]
            places = np.asarray([known.setdefault(name, len(known)) for name in column.names], np.int32)
            self.slices[i].grow(len(known))
            self.slices[i].add(places[column.codes], terms)
        if self.clusters is not None and batch.cluster is not None:
            self.clusters.add(
                batch.cluster, batch.weight, batch.labels, costs.finite, bounded, probability, hits
            )
        if self.replicates is not None:
            keys = self._resampled(batch)
            add_poisson(*self.replicates, _ones(batch), costs.finite, keys, self.declaration.seed)

    def _resampled(self, batch: Batch) -> Array:
        """Return the keys of what a bootstrap resamples: the clusters, else the rows."""
        return hash_values(batch.names(), salt=batch.origin) if batch.cluster is None else batch.cluster

    def _add_classes(self, batch: Batch, scores: RowScores, costs: Costs) -> None:
        weight = batch.weight
        if self.classes is not None:
            self.classes.add(batch.labels.astype(np.int32), _terms(weight, scores.bounded, costs))
        if self.masses is not None:
            self._add_masses(batch, self.masses)
        if self.ranks is not None and scores.rank is not None:
            places = np.minimum(scores.rank, RANKS).astype(np.int32)
            if weight is None:
                self.ranks.add_counts(np.bincount(places, minlength=RANKS + 1))
            else:
                self.ranks.add(weight, places)

    def _add_masses(self, batch: Batch, masses: GroupSums) -> None:
        t, weight = batch.labels, _ones(batch)
        columns = [1.0 - t, t] if t.ndim == 1 else [np.ascontiguousarray(column) for column in t.T]
        for c, column in enumerate(columns):
            masses.add((weight, column), np.full(len(t), c, np.int32))
        entropy, spread = np.zeros(len(t)), np.zeros(len(t))
        for x in columns:
            entropy += x * surprisal(np.maximum(x, LEAST))
            spread += x * (1.0 - x)
        spread *= 0.5 if len(columns) == 2 else 1.0
        self.totals.add_all({"label_entropy": (weight, entropy), "label_spread": (weight, spread)})

    def _add_calibration(self, batch: Batch, scores: RowScores, hits: Array) -> None:
        top, each = self.tables[0], self.tables[1:]
        binary = self.declaration.is_binary
        key = self._scorer.key(batch, scores.probability) if binary else scores.probability
        top.add(key, scores.probability, scores.complement, hits, batch.weight)
        self.bins.add(scores.probability, hits, batch.weight)
        if each and scores.probabilities is not None:
            self._count_classes(each, scores.probabilities, batch)

    def _count_classes(self, tables: list[PredictionTable], p: Array, batch: Batch) -> None:
        """Count each class against the others; all at once if all are on the grid."""
        if not self.in_weights and not any(table.is_exact for table in tables):
            count_on_grid(self._class_counts, tables[0].bits, p, None, batch.labels, 0)
            return
        for c, table in enumerate(tables):
            own = (
                batch.labels[:, c].copy() if batch.labels.ndim == 2 else (batch.labels == c).astype(np.int64)
            )
            table.add(p[c], p[c], None, own, batch.weight)

    def merge(self, other: "Part") -> None:
        """Add the rows of another part, which stays as it is."""
        self.totals.merge(other.totals)
        if self.classes is not None and other.classes is not None:
            self.classes.merge(other.classes, np.arange(len(self.declaration.classes)))
        for own, its in ((self.masses, other.masses), (self.ranks, other.ranks)):
            if own is not None and its is not None:
                own.add_from(its)
        self.bins.merge(other.bins)
        for table, its_table in zip(self.tables, other.tables, strict=True):
            table.merge(its_table)
        if self.far is not None and other.far is not None:
            self.far.merge(other.far)
        else:
            self.far = None
        for i, known in enumerate(self.slice_names):
            places = [known.setdefault(name, len(known)) for name in other.slice_names[i]]
            self.slices[i].grow(len(known))
            self.slices[i].merge(other.slices[i], np.asarray(places, np.int64))
        if self.clusters is not None and other.clusters is not None:
            self.clusters.merge(other.clusters)
        if self.replicates is not None and other.replicates is not None:
            for sums, its_sums in zip(self.replicates, other.replicates, strict=True):
                sums.add_from(its_sums)
        self.worst.merge(other.worst)
        self.histogram.counts += other.histogram.counts
        self.count_bad_rows(other.bad_rows)

    def count_bad_rows(self, counts: Mapping[str, int]) -> None:
        """Count rows that were left out, by their fault."""
        for kind, count in counts.items():
            self.bad_rows[kind] = self.bad_rows.get(kind, 0) + count

    def class_totals(self) -> list[GroupTotals]:
        """Return the sums of each class; not of soft labels."""
        if self.classes is None:
            return two_classes(self.totals, weighted=self.declaration.weighted)
        return self.classes.totals(len(self.declaration.classes))


def _ones(batch: Batch) -> Array:
    return np.ones(len(batch)) if batch.weight is None else batch.weight


def _terms(weight: Array | None, bounded: Mapping[str, Array], costs: Costs) -> GroupTerms:
    def weighted(name: str) -> Array | None:
        x = bounded.get(name)
        return x if x is None or weight is None else x * weight

    return GroupTerms(weight, costs.finite, weighted("brier"), weighted("correct"), costs.infinite)


def _probability(d: Declaration, keys: Array) -> tuple[Array, Array]:
    """Return the probabilities that keys of a table stand for, to the bit as rows have them."""
    kind = d.kind if d.is_binary and (d.one_column or d.kind == "logits") else "proba"
    out, labels = np.empty((9, len(keys))), np.zeros(len(keys), np.int64)
    _native.binary_scores(
        NumpyMemory.address(keys),
        1,
        KINDS.index(kind),
        NumpyMemory.address(labels),
        False,
        len(keys),
        [NumpyMemory.address(row) for row in out],
        0,
    )
    return out[7], out[8]
