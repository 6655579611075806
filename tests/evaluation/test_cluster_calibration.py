"""Calibration and classes where rows of one cluster are not independent."""

import gc
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from crossentropy.evaluation import Batch, Declaration, State, evaluate
from crossentropy.evaluation import _cluster_scores as cluster_scores
from crossentropy.evaluation._part import Part
from evaluation_data import SIX, rows_of

OLD = Path(__file__).parent / "clustered_of_0.1.state"


def clustered_rows(seed, *, clusters, size, correlation=0.5):
    """Predictions that are alike in a cluster, and labels drawn from them by correlated normal variables."""
    r = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), r.integers(1, 2 * size, clusters))
    n = len(cluster)
    p = special.expit(r.normal(size=clusters)[cluster] + 0.5 * r.normal(size=n))
    shared, own = r.normal(size=clusters)[cluster], r.normal(size=n)
    z = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
    return p, (z < special.ndtri(p)).astype(int), cluster


def sums_by(cluster, x):
    return np.bincount(cluster, x)


def z_of(excess, variance, weight, cluster):
    """The formula of the tests, in float64."""
    sums = sums_by(cluster, weight * excess)
    square = len(sums) / (len(sums) - 1) * (sums**2).sum()
    return (weight * excess).sum() / math.sqrt(max(square, (weight**2 * variance).sum()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_tests_of_calibration_are_those_of_sums_by_cluster(classes, weighted):
    rows = rows_of("proba", classes=classes, n=600, weighted=weighted)
    cluster = np.arange(600) // 20
    e = evaluate(
        labels=rows["labels"],
        proba=rows["predictions"],
        classes=range(classes),
        cluster=cluster,
        weight=rows["weight"],
    )
    p = rows["predictions"] if classes > 2 else np.stack([1 - rows["predictions"], rows["predictions"]], 1)
    w = rows["weight"] if weighted else np.ones(600)
    y = np.eye(classes)[rows["labels"]]
    entropy = -(p * np.log(p)).sum(1)
    log_excess = -np.log((p * y).sum(1)) - entropy
    assert e.log_score_z == pytest.approx(
        z_of(log_excess, (p * np.log(p) ** 2).sum(1) - entropy**2, w, cluster), rel=1e-9
    )
    square = (p**2).sum(1)
    scores = square[:, None] - 2 * p + 1  # of each label
    expected = (p * scores).sum(1)
    excess, variance = (scores * y).sum(1) - expected, (p * scores**2).sum(1) - expected**2
    assert e.spiegelhalter_z == pytest.approx(z_of(excess, variance, w, cluster), rel=1e-9)


def test_calibrated_predictions_in_clusters_are_seldom_called_uncalibrated():
    """Of 100 data sets 5 % are to be beyond 1.96; were rows taken for independent, 24 % would be."""
    beyond = np.zeros(2)
    for seed in range(100):
        p, y, cluster = clustered_rows(seed, clusters=100, size=8)
        e = evaluate(labels=y, proba=p, cluster=cluster)
        beyond += np.abs([e.log_score_z, e.spiegelhalter_z]) > 1.96
    assert (beyond / 100 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_interval_of_the_calibration_error_is_by_cluster(weighted):
    """Rows of a cluster are copies of one, so that sums by cluster tell what a row is."""
    p, y, _ = clustered_rows(1, clusters=1000, size=3, correlation=0)
    w = np.random.default_rng(2).lognormal(size=len(p)) if weighted else None
    e = evaluate(labels=y, proba=p, weight=w)
    copies = [None if x is None else np.repeat(x, 16) for x in (y, p, w, np.arange(len(p)))]
    c = evaluate(labels=copies[0], proba=copies[1], weight=copies[2], cluster=copies[3])
    assert c.ece == pytest.approx(e.ece, rel=1e-12)
    upper, of_copies = e.ece_interval[1] - e.ece, c.ece_interval[1] - c.ece
    assert of_copies == pytest.approx(upper, rel=0.1)


def test_the_error_of_the_calibration_error_is_that_of_sums_by_cluster():
    p, y, cluster = clustered_rows(3, clusters=20, size=40, correlation=0.9)
    e = evaluate(labels=y, proba=p, cluster=cluster, bins=4)
    place = np.minimum((p * 4).astype(int), 3)
    signs = np.sign(np.bincount(place, y - p))
    terms, sizes = sums_by(cluster, signs[place] * (y - p)), np.bincount(cluster)
    error = math.sqrt(20 / 19 * ((terms - sizes * e.ece) ** 2).sum()) / len(p)
    assert e.ece_interval[1] == pytest.approx(e.ece + stats.t.ppf(0.975, 19) * error, rel=1e-9)


def test_one_cluster_tells_nothing_of_calibration():
    p, y = SIX
    e = evaluate(labels=y, proba=p, cluster=np.zeros(6, int))
    assert (e.log_score_z, e.spiegelhalter_z, e.ece_interval) == (None, None, None)


def test_joined_clusters_leave_the_error_as_it_is(monkeypatch):
    p, y, cluster = clustered_rows(4, clusters=3000, size=3)
    e = evaluate(labels=y, proba=p, cluster=cluster)
    monkeypatch.setattr(cluster_scores, "CELLS", 1 << 18)
    apart = evaluate(labels=y, proba=p, cluster=cluster)
    assert e.ece_interval[1] - e.ece == pytest.approx(apart.ece_interval[1] - apart.ece, rel=0.1)


@pytest.mark.parametrize(("cells", "groups"), [(2, 4096), (31, 512), (100_000, 16)])
def test_many_cells_take_fewer_groups_of_clusters(cells, groups):
    assert cluster_scores.CellSums(cells).groups == groups


@pytest.mark.parametrize("classes", [2, 3])
def test_the_errors_of_classes_are_those_of_sums_by_cluster(classes):
    """A class whose rows are alike in a cluster has a larger error than the log loss of all rows lets expect."""
    r = np.random.default_rng(6)
    cluster = np.repeat(np.arange(40), 25)
    u = r.normal(size=(40, classes))[cluster] + 0.2 * r.normal(size=(1000, classes))
    p = special.softmax(u, axis=1)
    y = (p.cumsum(axis=1) < r.random((1000, 1))).sum(axis=1)
    e = evaluate(labels=y, proba=p, cluster=cluster)
    loss = -np.log(p[np.arange(1000), y])
    for c, found in enumerate(e.classes):
        own = y == c
        centered = np.where(own, loss - loss[own].mean(), 0.0)
        count = len(np.unique(cluster[own]))
        error = math.sqrt(count / (count - 1) * (sums_by(cluster, centered) ** 2).sum()) / own.sum()
        assert found["standard_error"] == pytest.approx(error, rel=1e-9)
        reach = stats.t.ppf(0.975, count - 1) * error
        assert found["interval"] == pytest.approx(
            (found["log_loss"] - reach, found["log_loss"] + reach), rel=1e-9
        )


# ------------------------------------------------------------------------------------------- earlier releases


def test_a_state_of_an_earlier_release_says_nothing_of_calibration_by_cluster():
    """It is that of the six rows of the reference numbers, in three clusters."""
    state = State.from_bytes(OLD.read_bytes())
    assert state.to_bytes() == OLD.read_bytes()
    e = state.finalize()
    assert (e.log_loss, e.standard_error) == (0.6986228180384583, 0.28229645011629506)
    assert e.clusters == 3
    assert (e.log_score_z, e.spiegelhalter_z, e.ece_interval) == (None, None, None)


def test_states_of_an_earlier_and_of_this_release_merge_both_ways():
    p, y = SIX
    rows = Batch(p, y.astype(np.int64), np.arange(6), None, np.asarray([1, 1, 2, 2, 3, 3], np.uint64))
    d = Declaration("proba", (0, 1), one_column=True, clustered=True, bins=2, worst=0)
    old, new, updated = (State.from_bytes(OLD.read_bytes()), State(d), State.from_bytes(OLD.read_bytes()))
    new.update(rows)
    old.merge(new)
    new.merge(State.from_bytes(OLD.read_bytes()))
    updated.update(rows)
    assert old.to_bytes() == new.to_bytes() == updated.to_bytes()
    assert State.from_bytes(new.to_bytes()).finalize().n == 12


def test_the_memory_of_an_evaluation_is_free_when_it_ends():
    """Sums for each cluster are megabytes, so they do not wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        evaluate(labels=[0, 1, 1], proba=[0.2, 0.7, 0.4], cluster=[0, 0, 1])
        assert not [x for x in gc.get_objects() if isinstance(x, Part)]
    finally:
        gc.enable()
