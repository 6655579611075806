"""Comparisons of models: reference numbers, errors, permutations, pairs, and what makes the difference."""

import itertools
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from crossentropy.evaluation import BadData, compare, evaluate
from crossentropy.evaluation._comparison.murphy import THRESHOLDS, murphy
from crossentropy.evaluation._comparison.series import mean_of_series
from crossentropy.evaluation._comparison.sign_flips import sign_flip_p
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._student import student_p
from evaluation_data import synthetic
from evaluation_files import CLASSES, columns

P, Y = synthetic()
Q = P**1.5


def losses(p, y=Y):
    return -np.log(np.where(y == 1, p, 1 - p))


def of_two(**options):
    (difference,) = compare(labels=Y, proba={"p": P, "q": Q}, **options).differences
    return difference


# -------------------------------------------------------------------------------------------- reference numbers


def test_the_iid_test_has_the_reference_numbers():
    result = of_two()
    assert result.difference == pytest.approx(-0.026919320364485, abs=1e-14)
    assert result.t == pytest.approx(-3.093414648970, abs=1e-10)
    assert result.p_value == pytest.approx(stats.ttest_rel(losses(Q), losses(P)).pvalue, rel=1e-8)
    low, high = result.interval
    reach = stats.t.ppf(0.975, 999) * result.standard_error
    assert (low, high) == pytest.approx((result.difference - reach, result.difference + reach), rel=1e-8)


def test_the_clustered_test_has_the_reference_numbers():
    result = of_two(cluster=np.arange(1000) // 10)
    assert result.t == pytest.approx(
        -3.936682869279 * math.sqrt(99 / 100), abs=1e-10
    )  # of CR0, and G/(G − 1)
    assert (result.errors, result.freedom) == ("clusters", 99)
    assert result.standard_error_of_rows == of_two().standard_error


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_diebold_and_mariano_with_the_small_sample_factor(horizon):
    r = np.random.default_rng(0)
    e = r.normal(size=60 + horizon)
    d = np.stack([e[k : k + 60] for k in range(horizon)]).sum(axis=0) + 0.3  # as errors of forecasts overlap
    away = d - d.mean()
    band = np.abs(np.subtract.outer(np.arange(60), np.arange(60))) < horizon
    dm = d.mean() / math.sqrt((away @ band @ away) / 60**2)
    t = dm * math.sqrt((60 + 1 - 2 * horizon + horizon * (horizon - 1) / 60) / 60)
    mean = mean_of_series(d, horizon)
    assert mean.t == pytest.approx(t, rel=1e-12)
    assert mean.p_value == pytest.approx(2 * stats.t.sf(abs(t), 59), rel=1e-8)


def test_of_one_step_the_test_of_a_series_is_the_paired_t_test():
    assert of_two(horizon=1).t == pytest.approx(of_two().t, rel=1e-12)
    assert of_two(horizon=1).permutation_p_value is None


def test_a_variance_that_is_not_positive_gives_no_error():
    mean = mean_of_series(np.tile([1.0, -1.0], 20), horizon=2)
    assert mean.standard_error is None
    assert mean.p_value is None


@pytest.mark.parametrize("freedom", [1, 2, 9, 99, 10**6])
@pytest.mark.parametrize("t", [0.5, 1.7, 1.8, 4.0, 30.0])
def test_tails_of_students_distribution(freedom, t):
    assert student_p(-t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=2e-8, abs=1e-300)


def test_weights_count_as_repeated_rows_in_the_mean():
    times = np.arange(1000) % 3 + 1
    weighted = of_two(weight=times)
    assert weighted.difference == pytest.approx(np.average(losses(Q) - losses(P), weights=times), rel=1e-12)
    d = losses(Q) - losses(P) - weighted.difference
    error = math.sqrt(1000 / 999 * np.square(times * d).sum()) / times.sum()
    assert weighted.standard_error == pytest.approx(error, rel=1e-12)


# ------------------------------------------------------------------------------------------------- permutations


def test_sign_flips_have_the_p_value_of_all_signs():
    d = np.random.default_rng(1).normal(size=12) + 0.4
    sums = np.asarray([signs @ d for signs in itertools.product((-1, 1), repeat=12)])
    truth = (np.abs(sums) >= abs(d.sum()) - 1e-12).mean()
    got = sign_flip_p(d, hash_values(np.arange(12)), replicates=20_000, seed=3)
    assert got == pytest.approx(truth, abs=4 * math.sqrt(truth * (1 - truth) / 20_000))


@pytest.mark.parametrize("n", [500, 40_000])  # more than 16384 rows are joined
def test_sign_flips_are_uniform_if_models_are_equally_good(n):
    keys = hash_values(np.arange(n))
    draws = np.random.default_rng(2).normal(size=(60, n))
    p = [sign_flip_p(d, keys, replicates=199, seed=0) for d in draws]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_sign_flips_do_not_depend_on_the_order_of_rows_but_on_the_seed():
    d, keys = np.random.default_rng(4).normal(size=2000) + 0.04, hash_values(np.arange(2000))
    order = np.random.default_rng(5).permutation(2000)
    p = [
        sign_flip_p(d, keys, replicates=500, seed=0),
        sign_flip_p(d[order], keys[order], replicates=500, seed=0),
        sign_flip_p(d, keys, replicates=500, seed=1),
    ]
    assert p[0] == p[1] != p[2]


# ------------------------------------------------------------------------------------------------------- sources

DATA = columns()
SHARPER = DATA["p"] ** 1.3 / (DATA["p"] ** 1.3).sum(axis=1, keepdims=True)


def source(p, *, order=None, batch=None, key=None):
    order = np.arange(len(p)) if order is None else order
    single = {f"p_{name}": p[order, c] for c, name in enumerate(CLASSES)}
    key = np.arange(len(p)) if key is None else np.asarray(key)
    rows = pa.table({**single, "y": DATA["y"][order], "w": DATA["w"][order], "id": key[order]} | rest(order))
    return rows if batch is None else pa.Table.from_batches(rows.to_batches(max_chunksize=batch))


def rest(order):
    return {name: DATA[name][order] for name in ("user", "country")}


NAMES = {"labels": "y", "proba": "p_*", "weight": "w", "cluster": "user", "slice": "country"}


def test_rows_are_paired_by_key_in_any_order_and_batches():
    plain = compare({"a": source(DATA["p"]), "b": source(SHARPER)}, key="id", **NAMES)
    order = np.random.default_rng(6).permutation(len(DATA["p"]))
    other = compare({"a": source(DATA["p"], batch=7), "b": source(SHARPER, order=order)}, key="id", **NAMES)
    assert json.dumps(other.to_dict(), default=str) == json.dumps(plain.to_dict(), default=str)
    arrays = {name: DATA[name] for name in ("country",)}
    alone = compare(
        labels=DATA["y"],
        proba={"a": DATA["p"], "b": SHARPER},
        classes=CLASSES,
        weight=DATA["w"],
        cluster=DATA["user"],
        slice=arrays,
    )
    assert alone.differences == plain.differences


def test_models_are_columns_of_one_table():
    both = pa.table({"y": Y, "p": P, "q": Q, "unit": np.arange(1000) // 10})
    result = compare(both, labels="y", proba={"old": "p", "new": "q"}, cluster="unit")
    arrays = compare(labels=Y, proba={"old": P, "new": Q}, cluster=np.arange(1000) // 10)
    assert result.differences == arrays.differences


def test_texts_and_integers_of_one_key_are_one_key():
    texts = source(SHARPER, key=np.arange(len(SHARPER)).astype(str))
    both = compare({"a": source(DATA["p"]), "b": texts}, key="id", **NAMES)
    plain = compare({"a": source(DATA["p"]), "b": source(SHARPER)}, key="id", **NAMES)
    assert both.differences[0].difference == plain.differences[0].difference


def test_keys_may_be_integers_and_texts_in_one_column():
    keys = np.asarray([i if i % 2 else f"k{i}" for i in range(1000)], object)
    result = of_two(worst=1000)
    mixed = compare(labels=Y, proba={"p": P, "q": Q}, key=keys, worst=1000).differences[0]
    assert mixed.difference == result.difference
    assert {row["row"] for row in mixed.rows} == set(keys)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (lambda k: np.where(k == 7, 600, k), r"b has no row with key 7 \(1 missing in all\)"),
        (lambda k: np.where(k == 7, 9, k), "b has two rows with key 9"),
        (lambda k: np.where(k == 7, 9, k).astype(str), "b has two rows with key '9'"),
        (lambda k: k[::-1], "the label of row 3 is not the same in a and b"),
    ],
)
def test_keys_that_do_not_fit_are_named(keys, words):
    key = keys(np.arange(len(SHARPER)))
    first = source(DATA["p"], key=np.arange(len(SHARPER)).astype(key.dtype))
    with pytest.raises(BadData, match=words):
        compare({"a": first, "b": source(SHARPER, key=key)}, key="id", **NAMES)


def test_more_keys_in_the_second_source_are_missing_in_the_first():
    few = source(DATA["p"]).slice(0, 500)
    with pytest.raises(BadData, match=r"a has no row with key 500 \(100 missing in all\)"):
        compare({"a": few, "b": source(SHARPER)}, key="id", **NAMES)


def test_rows_without_keys_are_paired_by_position_only_if_asked():
    sources = {"a": source(DATA["p"]), "b": source(SHARPER)}
    with pytest.raises(
        ValueError, match="pass key=, the column that names each row in every source, or by_position"
    ):
        compare(sources, **NAMES)
    by_position = compare(sources, by_position=True, **NAMES)
    assert (
        by_position.differences[0].difference == compare(sources, key="id", **NAMES).differences[0].difference
    )
    sources["b"] = sources["b"].slice(1)
    with pytest.raises(BadData, match="a has 600 rows and b 599; pass key="):
        compare(sources, by_position=True, **NAMES)


def test_bad_rows_that_are_left_out_are_left_out_of_all_models():
    bad = P.copy()
    bad[[3, 5]] = np.nan
    with pytest.raises(BadData, match=r"new has no row with key 3 \(2 missing in all\)"):
        compare(labels=Y, proba={"old": P, "new": bad}, on_bad_rows="skip")
    both = compare(labels=Y, proba={"old": bad, "new": np.where(np.isnan(bad), bad, Q)}, on_bad_rows="skip")
    assert both.differences[0].difference == pytest.approx(
        (losses(Q) - losses(P))[~np.isnan(bad)].mean(), rel=1e-12
    )


# -------------------------------------------------------------------------------------- what makes the difference


def test_slices_and_rows_add_up_to_the_difference():
    country = np.asarray(["de", "fr", "it"])[np.arange(1000) % 3]
    result = of_two(slice={"country": country}, worst=1000)
    d = losses(Q) - losses(P)
    assert math.fsum(s["contribution"] for s in result.slices) == pytest.approx(result.difference, rel=1e-12)
    for s in result.slices:
        here = d[country == s["slice"]]
        assert (s["n"], s["difference"]) == (len(here), pytest.approx(here.mean(), rel=1e-12))
        assert s["p_value"] == pytest.approx(stats.ttest_1samp(here, 0).pvalue, rel=1e-8)
    truth = stats.false_discovery_control([s["p_value"] for s in result.slices])
    assert [s["adjusted_p_value"] for s in result.slices] == pytest.approx(truth, rel=1e-12)
    assert [row["row"] for row in result.rows] == sorted(range(1000), key=lambda i: (-abs(d[i]), i))
    assert math.fsum(row["difference"] for row in result.rows) / 1000 == pytest.approx(
        result.difference, rel=1e-12
    )
    assert (result.n_better, result.n_worse) == ((d < 0).sum(), (d > 0).sum())


def test_miscalibration_less_discrimination_is_the_difference():
    noisy = np.clip(Q + 0.1 * np.random.default_rng(8).normal(size=1000), 0.01, 0.99)
    comparison = compare(labels=Y, proba={"p": P, "q": noisy})
    (result,), both = comparison.differences, comparison.evaluations
    assert result.miscalibration == both["q"].miscalibration - both["p"].miscalibration
    assert result.discrimination == both["q"].discrimination - both["p"].discrimination
    assert result.miscalibration - result.discrimination == pytest.approx(result.difference, rel=1e-10)
    assert both["p"] == evaluate(labels=Y, proba=P)


def test_p_values_of_several_models_are_adjusted_by_holm():
    r = np.random.default_rng(7)
    models = {f"m{k}": np.clip(P + 0.02 * k * r.normal(size=1000), 0.001, 0.999) for k in range(5)}
    result = compare(labels=Y, proba=models)
    p = [x.p_value for x in result.differences]
    order, least, truth = np.argsort(p), 0.0, np.empty(4)
    for rank, i in enumerate(order):
        least = max(least, min(1, (4 - rank) * p[i]))
        truth[i] = least
    assert [x.adjusted_p_value for x in result.differences] == pytest.approx(truth.tolist(), rel=1e-14)
    assert [x.model for x in result.differences] == ["m1", "m2", "m3", "m4"]


def elementary(p, y, theta):
    return np.where(y == 1, (1 - theta) * (p <= theta), theta * (p > theta)).mean()


def test_the_murphy_diagram_has_the_elementary_scores_of_both():
    found = murphy(P, np.round(Q, 2), Y)
    for theta, a, b in found.curve[::7]:
        truth = (elementary(P, Y, theta), elementary(np.round(Q, 2), Y, theta))
        assert (a, b) == pytest.approx(truth, abs=1e-15)
    assert [point[0] for point in found.curve] == THRESHOLDS.tolist()


@pytest.mark.parametrize("seed", range(30))
def test_a_model_is_dominant_if_it_is_nowhere_worse(seed):
    r = np.random.default_rng(seed)
    p, q = r.integers(0, 5, (2, 6)) / 4
    y = r.integers(0, 2, 6)
    grid = np.concatenate([np.arange(5) / 4, np.arange(5) / 4 + 1e-9, np.arange(1, 5) / 4 - 1e-9])
    d = np.asarray([elementary(q, y, t) - elementary(p, y, t) for t in grid])
    worse, better = (d > 1e-8).any(), (d < -1e-8).any()
    truth = {(True, False): "first", (False, True): "second", (False, False): "both"}.get((worse, better))
    assert murphy(p, q, y).dominant == truth
    assert murphy(p, q, y, np.full(6, 0.3)).dominant == truth


def test_a_sharper_model_is_dominant_and_more_classes_have_no_diagram():
    y = np.arange(1000) % 2
    result = compare(labels=y, proba={"dull": np.where(y, 0.6, 0.4), "sharp": np.where(y, 0.9, 0.1)})
    assert result.differences[0].dominant == "sharp"
    many = compare(labels=DATA["y"], proba={"a": DATA["p"], "b": SHARPER}, classes=CLASSES).differences[0]
    assert (many.dominant, many.murphy) == (None, None)


# ---------------------------------------------------------------------------------------------------- edges


def test_an_infinite_loss_has_no_test():
    p, q = np.asarray([0.0, 0.5, 0.9]), np.asarray([0.2, 0.5, 0.9])
    y = [1, 0, 1]
    result = compare(labels=y, proba={"a": p, "b": q}).differences[0]
    assert result.difference == -math.inf
    assert (result.interval, result.p_value, result.permutation_p_value) == (None, None, None)
    assert result.sentence() == "The log loss of b less that of a is -inf; it has no interval."
    both = compare(labels=y, proba={"a": p, "b": p}).differences[0]
    assert both.difference is None
    assert "both have rows of infinite loss" in both.sentence()
    json.loads(compare(labels=y, proba={"a": p, "b": q}).to_json())


def test_a_model_does_not_differ_from_itself():
    result = compare(labels=Y, proba={"a": P, "b": P.copy()}).differences[0]
    assert (result.difference, result.p_value, result.interval) == (0, 1, (0, 0))
    assert (result.dominant, result.rows, result.permutation_p_value) == ("both", [], 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 0}, "horizon is 0; pass an integer of at least 1"),
        ({"horizon": 2, "weight": np.ones(1000)}, "leave weight= and cluster= out"),
        ({"permutations": -1}, "permutations is -1"),
        ({"interval": 95}, "interval is 95; pass the confidence"),
        ({"seed": 0.5}, "seed is 0.5"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        of_two(**options)


def test_predictions_without_names_are_refused():
    with pytest.raises(TypeError, match="pass a mapping from the names of models to their predictions"):
        compare(labels=Y, proba=P)
    with pytest.raises(TypeError, match="pass one of proba=, logits= and log_proba="):
        compare(labels=Y, proba={"a": P}, logits={"a": P})
