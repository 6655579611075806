"""Standard errors and intervals: closed forms, and how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import special, stats

from crossentropy.evaluation import evaluate
from crossentropy.evaluation._group_results import adjusted_p
from crossentropy.evaluation._intervals import check_confidence, student_quantile


def drawn(n, seed, clusters=None):
    r = np.random.default_rng(seed)
    p = r.beta(2, 2, n)
    if clusters is None:
        return p, (r.random(n) < p).astype(int)
    return np.repeat(p[:clusters], n // clusters), np.repeat(
        (r.random(clusters) < p[:clusters]).astype(int), n // clusters
    )


def losses(p, y):
    return -np.log(np.where(y == 1, p, 1 - p))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.5, math.nan])
def test_a_confidence_lies_between_0_and_1(confidence):
    with pytest.raises(ValueError, match=f"^--interval is {confidence:g}; pass the confidence of intervals"):
        check_confidence(confidence, "--interval")


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 30, 50, 51, 1000])
@pytest.mark.parametrize("probability", [0.51, 0.9, 0.975, 0.995, 0.9995])
def test_quantiles_of_student_are_scipys(freedom, probability):
    tolerance = 1e-11 if freedom <= 50 else 2e-7
    assert student_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=tolerance
    )


def test_the_standard_error_of_weighted_rows_is_the_sandwich():
    p, y = drawn(300, 1)
    w = np.random.default_rng(2).lognormal(size=300)
    e = evaluate(labels=y, proba=p, weight=w)
    loss = losses(p, y)
    mean = (w * loss).sum() / w.sum()
    expected = math.sqrt(300 / 299 * (w**2 * (loss - mean) ** 2).sum()) / w.sum()
    assert e.log_loss == pytest.approx(mean, rel=1e-14)
    assert e.standard_error == pytest.approx(expected, rel=1e-12)
    reach = stats.t.ppf(0.975, 299) * expected
    assert e.interval == pytest.approx((mean - reach, mean + reach), rel=1e-9)


def test_equal_losses_have_no_error_at_all():
    """From rounded moments the variance would be of the order of 1e-16, and its root of 1e-8."""
    e = evaluate(labels=np.ones(1000, int), proba=np.full(1000, 0.7))
    assert e.standard_error == 0
    weighted = evaluate(labels=np.ones(1000, int), proba=np.full(1000, 0.7), weight=np.arange(1, 1001) / 7)
    assert weighted.standard_error < 1e-17


@pytest.mark.parametrize("clusters", [None, 50])
def test_intervals_hold_the_truth_as_often_as_they_say(clusters):
    """The expected loss of p ~ Beta(2, 2) with calibrated labels is the mean entropy."""
    q = stats.beta(2, 2)
    truth = q.expect(lambda p: -p * np.log(p) - (1 - p) * np.log1p(-p))
    n, repeats = (200, 150) if clusters is None else (500, 150)
    held = 0
    for seed in range(repeats):
        p, y = drawn(n, seed, clusters)
        groups = None if clusters is None else np.arange(n) // (n // clusters)
        low, high = evaluate(labels=y, proba=p, cluster=groups, interval=0.9).interval
        held += low <= truth <= high
    assert abs(held / repeats - 0.9) < 3.5 * math.sqrt(0.09 / repeats)


def test_more_clusters_than_are_kept_are_joined_and_the_error_stays():
    p, y = drawn(40_000, 3)
    e = evaluate(labels=y, proba=p)
    joined = evaluate(labels=y, proba=p, cluster=np.arange(40_000))
    assert joined.clusters <= 4096
    assert joined.standard_error == pytest.approx(e.standard_error, rel=0.05)


def test_a_bootstrap_of_rows_and_of_clusters_has_the_errors_of_the_formulas():
    p, y = drawn(2000, 4)
    e = evaluate(labels=y, proba=p, bootstrap=2000, seed=1)
    assert e.bootstrap_standard_error == pytest.approx(e.standard_error, rel=0.07)
    assert e.bootstrap_interval == pytest.approx(e.interval, abs=0.15 * e.standard_error)
    p, y = drawn(2000, 5, clusters=100)
    e = evaluate(labels=y, proba=p, cluster=np.arange(2000) // 20, bootstrap=2000)
    assert e.bootstrap_standard_error == pytest.approx(e.standard_error, rel=0.1)


def test_a_bootstrap_depends_on_the_keys_and_not_on_the_order():
    p, y = drawn(500, 6)
    key = np.random.default_rng(0).permutation(500)
    order = np.random.default_rng(1).permutation(500)
    e = evaluate(labels=y, proba=p, key=key, bootstrap=50)
    shuffled = evaluate(labels=y[order], proba=p[order], key=key[order], bootstrap=50)
    assert e == shuffled
    assert (
        e.bootstrap_interval != evaluate(labels=y, proba=p, key=key, bootstrap=50, seed=1).bootstrap_interval
    )


def test_slices_own_their_shares_and_the_one_that_differs_is_found():
    p, y = drawn(3000, 7)
    group = np.arange(3000) % 3
    p = np.where(group == 2, 1 - p, p)  # wrong in one slice
    e = evaluate(labels=y, proba=p, slice={"country": np.asarray(["de", "fr", "it"])[group]})
    assert [s["slice"] for s in e.slices] == ["de", "fr", "it"]
    assert sum(s["share_of_loss"] for s in e.slices) == pytest.approx(1, abs=1e-14)
    for k, s in enumerate(e.slices):
        own = losses(p, y)[group == k]
        assert s["n"] == 1000
        assert s["log_loss"] == pytest.approx(own.mean(), rel=1e-14)
        assert s["standard_error"] == pytest.approx(own.std(ddof=1) / math.sqrt(1000), rel=1e-12)
        rest = losses(p, y)[group != k]
        spread = max(
            own.std(ddof=1), rest.std(ddof=1)
        )  # of both, so that the test is one of summary statistics
        test = stats.ttest_ind_from_stats(
            own.mean(), spread, 1000, rest.mean(), spread, 2000, equal_var=False
        )
        assert s["p_value"] == pytest.approx(test.pvalue, rel=1e-5)
    assert e.slices[2]["adjusted_p_value"] < 1e-6


@pytest.mark.parametrize("size", [2, 5, 30])
def test_slices_of_a_few_rows_that_are_like_all_others_are_not_called_different(size):
    """Losses are skewed: a few small ones are alike by chance."""
    for seed in range(3):
        p, y = drawn(1500, seed)
        e = evaluate(labels=y, proba=p**2 / (p**2 + (1 - p) ** 2), slice=np.arange(1500) // size)
        assert not any(s["adjusted_p_value"] is not None and s["adjusted_p_value"] < 0.05 for s in e.slices)


@pytest.mark.parametrize("weighted", [False, True])
def test_copies_of_rows_in_one_cluster_do_not_narrow_the_intervals_of_slices_and_classes(weighted):
    p, y = drawn(300, 10)
    group, w = np.arange(300) % 3, np.random.default_rng(1).lognormal(size=300) if weighted else np.ones(300)
    alone = evaluate(labels=y, proba=p, slice=group, weight=w)
    ten = [np.repeat(x, 10) for x in (y, p, group, w, np.arange(300))]
    copies = evaluate(labels=ten[0], proba=ten[1], slice=ten[2], weight=ten[3], cluster=ten[4])
    for own, copied in zip(alone.slices + alone.classes, copies.slices + copies.classes, strict=True):
        assert copied["standard_error"] == pytest.approx(own["standard_error"], rel=0.01)
        assert copied["interval"] == pytest.approx(own["interval"], rel=0.01)
    for own, copied in zip(alone.slices, copies.slices, strict=True):
        assert copied["p_value"] == pytest.approx(own["p_value"], abs=0.01)


def test_groups_of_one_cluster_have_no_interval():
    e = evaluate(labels=[0, 1, 1, 0], proba=[0.1, 0.8, 0.6, 0.3], slice=["a", "a", "b", "b"], cluster=[7] * 4)
    for group in e.slices + e.classes:
        assert group["interval"] is None
        assert group["standard_error"] is None
    assert e.slices[0]["p_value"] is None


def test_adjusted_p_values_are_scipys():
    p = np.random.default_rng(0).random(20) ** 3
    assert adjusted_p(p.tolist()) == pytest.approx(stats.false_discovery_control(p), rel=1e-14)


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_have_the_mean_loss_of_their_rows(classes):
    r = np.random.default_rng(8)
    p = r.dirichlet(np.ones(classes), 500)
    y = r.integers(0, classes, 500)
    loss = -np.log(p[np.arange(500), y])
    e = evaluate(labels=y, proba=p)
    for k, c in enumerate(e.classes):
        own = loss[y == k]
        assert c["n"] == len(own)
        assert c["log_loss"] == pytest.approx(own.mean(), rel=1e-13)
        assert c["standard_error"] == pytest.approx(own.std(ddof=1) / math.sqrt(len(own)), rel=1e-11)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("prior", [None, "given"])
def test_the_interval_of_the_skill_is_that_of_a_bootstrap(classes, prior):
    r = np.random.default_rng(9)
    p = r.dirichlet(np.ones(classes), 1000)
    y = (p.cumsum(axis=1) < r.random((1000, 1))).sum(axis=1)
    null = None if prior is None else np.arange(1, classes + 1) / sum(range(1, classes + 1))
    e = evaluate(labels=y, proba=p, prior=null)
    loss, skills = -np.log(p[np.arange(1000), y]), []
    for _ in range(1500):
        at = r.integers(0, 1000, 1000)
        rates = np.bincount(y[at], minlength=classes) / 1000
        skills.append(1 - loss[at].mean() / -(rates * np.log(rates if null is None else null)).sum())
    width = 2 * stats.norm.ppf(0.975) * np.std(skills)
    assert e.skill_interval[1] - e.skill_interval[0] == pytest.approx(width, rel=0.08)
    assert sum(e.skill_interval) / 2 == pytest.approx(e.skill, rel=1e-12)


def test_the_interval_of_the_calibration_error_holds_it_at_least_as_often_as_it_says():
    """In each bin predictions are off by 0.1, which is far from 0: the error has no bias there."""
    held = 0
    for seed in range(100):
        r = np.random.default_rng(seed)
        p = r.choice([0.2, 0.4, 0.6], 2000)
        e = evaluate(labels=(r.random(2000) < p + 0.1).astype(int), proba=p, bins=10, interval=0.9)
        held += e.ece_interval[0] <= 0.1 <= e.ece_interval[1]
    assert held / 100 > 0.9 - 3 * math.sqrt(0.09 / 100)


@pytest.mark.parametrize("rare", [False, True])
def test_the_interval_of_the_calibration_error_of_calibrated_predictions_begins_at_0(rare):
    """The error of calibrated predictions is above 0 by chance alone."""
    at_0 = 0
    for seed in range(100):
        r = np.random.default_rng(seed)
        p = special.expit(1.5 * r.normal(size=300) - 5.5 * rare)
        at_0 += evaluate(labels=(r.random(300) < p).astype(int), proba=p, worst=0).ece_interval[0] == 0
    assert at_0 / 100 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 100)


def test_no_event_among_fifty_rows_leaves_room_for_rare_ones():
    """Of events of 5 % there is none among 50 rows in one of 13 data sets."""
    assert evaluate(labels=np.zeros(50, int), proba=np.full(50, 0.001)).ece_interval[1] > 0.05


def test_a_few_rows_of_one_label_do_not_prove_the_calibration_error_small():
    low, high = evaluate(labels=[1, 1, 0, 0], proba=[0.99, 0.99, 0.01, 0.01]).ece_interval
    assert low == 0
    assert high > 0.03
