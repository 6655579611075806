"""A part of a state as a tree of numbers and arrays, and back.

The order in which things were first seen is not in the tree.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._cluster_scores import ClusterScores
from crossentropy.evaluation._clusters import ClusterSums
from crossentropy.evaluation._exact import ExactSum, GroupSums
from crossentropy.evaluation._groups import GroupScores
from crossentropy.evaluation._part import Part
from crossentropy.evaluation._prediction_table import PredictionTable
from crossentropy.evaluation._worst_rows import WorstRow

__all__ = ["fill", "into_clusters", "of_clusters", "tree_of"]

Array = np.ndarray[Any, Any]
Tree = dict[str, Any]


def tree_of(part: Part) -> Tree:
    """Describe a `Part`."""
    far = part.far
    return {
        **({} if far is None else {"far": [_of_sums(far.weights), _of_sums(far.odds)]}),
        "declaration": asdict(part.declaration),
        "counts": part.totals.counts,
        "sums": {name: list(total) for name, total in part.totals.sums.items()},
        "classes": None if part.classes is None else _of_groups(part.classes),
        "masses": _of_sums(part.masses),
        "ranks": _of_sums(part.ranks),
        "bins": [
            part.bins.counts,
            part.bins.units,
            _of_sums(part.bins.probability),
            _of_sums(part.bins.weights),
        ],
        "tables": [_of_table(table) for table in part.tables],
        "slices": [
            _of_slices(scores, names) for scores, names in zip(part.slices, part.slice_names, strict=True)
        ],
        "clusters": None if part.clusters is None else _of_cluster_scores(part.clusters),
        "replicates": None if part.replicates is None else [_of_sums(sums) for sums in part.replicates],
        "worst": [list(row) for row in part.worst.rows],
        "histogram": part.histogram.counts,
        "bad_rows": dict(part.bad_rows),
    }


def fill(part: Part, tree: Tree) -> None:
    """Write a tree into a new `Part` of its declaration.

    If it is none that `tree_of` has made, this raises some exception, or `tree_of` makes another one of the part.
    """
    part.totals.counts = {name: int(tree["counts"][name]) for name in part.totals.counts}
    part.totals.sums = {name: ExactSum(*map(int, total)) for name, total in tree["sums"].items()}
    if part.classes is not None:
        _into_groups(part.classes, tree["classes"])
    _into_sums(part.masses, tree["masses"])
    _into_sums(part.ranks, tree["ranks"])
    counts, units, *sums = tree["bins"]
    part.bins.fill(counts, units)
    _into_sums(part.bins.probability, sums[0])
    _into_sums(part.bins.weights, sums[1])
    for table, its in zip(part.tables, tree["tables"], strict=True):
        _into_table(table, its)
    if part.far is not None and "far" in tree:
        _into_sums(part.far.weights, tree["far"][0])
        _into_sums(part.far.odds, tree["far"][1])
    else:  # as earlier releases wrote
        part.far = None
    for i, its in enumerate(tree["slices"]):
        part.slice_names[i] = {name: place for place, name in enumerate(its["names"])}
        part.slices[i].grow(len(its["names"]))
        _into_groups(part.slices[i], its["scores"])
    if part.clusters is not None:
        _into_cluster_scores(part.clusters, tree["clusters"])
    for sums, its in zip(part.replicates or (), tree["replicates"] or (), strict=True):
        _into_sums(sums, its)
    part.worst.rows = [_worst_row(*row) for row in tree["worst"]]
    part.histogram.counts[:] = tree["histogram"]
    part.bad_rows = {kind: int(count) for kind, count in tree["bad_rows"].items()}


def _worst_row(cost: Any, origin: Any, row: Any, label: Any, loss: Any, weight: Any) -> WorstRow:
    name = row if row is None or isinstance(row, str) else int(row)
    return WorstRow(float(cost), str(origin), name, int(label), float(loss), float(weight))


def _of_sums(sums: GroupSums | None, places: Array | None = None) -> Tree | None:
    """Describe sums, of the groups at `places` in this order."""
    if sums is None:
        return None
    sums.carry()
    planes = {i: sums.limbs[i] if places is None else sums.limbs[i][places] for i in sums.planes()}
    used = {i: plane for i, plane in planes.items() if plane.any()}
    return {"limbs": list(used), "values": list(used.values())}


def _into_sums(sums: GroupSums | None, tree: Tree | None) -> None:
    if sums is None or tree is None:
        return
    for i, values in zip(tree["limbs"], tree["values"], strict=True):
        sums.limbs[i, : len(values)] = values
        sums.touched[i] = 1


def _of_groups(scores: GroupScores, places: Array | None = None) -> Tree:
    at = slice(None) if places is None else places
    return {
        "n": scores.n[at],
        "n_infinite": scores.n_infinite[at],
        "sums": {name: _of_sums(sums, places) for name, sums in scores.sums.items()},
    }


def _into_groups(scores: GroupScores, tree: Tree) -> None:
    scores.n[: len(tree["n"])] = tree["n"]
    scores.n_infinite[: len(tree["n"])] = tree["n_infinite"]
    for name, sums in scores.sums.items():
        _into_sums(sums, tree["sums"][name])


def _of_slices(scores: GroupScores, names: dict[str, int]) -> Tree:
    ordered = sorted(
        name for name, place in names.items() if scores.n[place]
    )  # a column may list names without rows
    places = np.asarray([names[name] for name in ordered], np.int64)
    return {"names": ordered, "scores": _of_groups(scores, places)}


def _both(places: Array) -> Array:
    return np.stack([2 * places, 2 * places + 1], axis=1).reshape(-1)


def _of_table(table: PredictionTable) -> Tree:
    if not table.is_exact:
        return {"keys": None, "counts": table.counts, "sums": _of_sums(table.sums)}
    keys = table.keys().view(np.int64)
    order = np.argsort(keys)
    counts = table.counts[order]
    seen = counts.any(axis=1)  # keys of a batch that was too much for another table have no rows
    order, counts = order[seen], counts[seen]
    return {"keys": keys[order], "counts": counts, "sums": _of_sums(table.sums, _both(order))}


def _into_table(table: PredictionTable, tree: Tree) -> None:
    table.counts[: len(tree["counts"])] = tree["counts"]
    _into_sums(table.sums, tree["sums"])
    if tree["keys"] is None:
        table.table = None
    elif table.table is not None:
        _remember(table.table, tree["keys"])


def _of_cluster_scores(scores: ClusterScores) -> Tree:
    tree = of_clusters(scores.sums)
    if scores.is_complete:
        tree |= {"gaps": _of_sums(scores.gaps.sums), "of_classes": _of_sums(scores.of_classes.sums)}
    return tree


def _into_cluster_scores(scores: ClusterScores, tree: Tree) -> None:
    if "gaps" in tree:
        _into_sums(scores.gaps.sums, tree["gaps"])
        _into_sums(scores.of_classes.sums, tree["of_classes"])
    else:  # as earlier releases wrote
        scores.keep_loss_alone()
    into_clusters(scores.sums, tree)


def of_clusters(clusters: ClusterSums) -> Tree:
    """Describe the sums of clusters."""
    if clusters.table is None:
        return {"keys": None} | {name: _of_sums(sums) for name, sums in clusters.columns.items()}
    keys = clusters.keys().view(np.int64)
    order = np.argsort(keys)
    return {"keys": keys[order]} | {name: _of_sums(sums, order) for name, sums in clusters.columns.items()}


def into_clusters(clusters: ClusterSums, tree: Tree) -> None:
    """Write the sums of clusters into new ones of the same names."""
    if tree["keys"] is None:
        clusters.to_buckets()
    elif clusters.table is not None:
        _remember(clusters.table, tree["keys"])
    for name, sums in clusters.columns.items():
        _into_sums(sums, tree[name])


def _remember(table: Any, keys: Array) -> None:
    keys = np.ascontiguousarray(keys)
    places = np.empty(len(keys), np.int32)
    table.find(NumpyMemory.address(keys), len(keys), NumpyMemory.address(places))
