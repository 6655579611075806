"""Comparisons at the edges: signs, negative zeros, infinite losses, wrong options."""

import json
import math

import numpy as np
import pytest

from crossentropy.evaluation import compare, evaluate
from crossentropy.evaluation._comparison.gates import read_baseline, unpaired_gate
from crossentropy.evaluation._comparison.murphy import murphy
from crossentropy.evaluation._comparison.series import mean_of_series
from crossentropy.evaluation._comparison.sign_flips import sign_flip_p
from crossentropy.evaluation._hashing import hash_values
from crossentropy.evaluation._intervals import student_quantile
from evaluation_data import synthetic

P, Y = synthetic()
Q = P**1.5


def test_the_sign_of_all_differences_does_not_change_the_p_value():
    d, keys = np.asarray([0.1] * 2 + [-0.1] * 10), hash_values(np.arange(12))
    p, of_minus = (sign_flip_p(x, keys, replicates=20_000, seed=0) for x in (d, -d))
    truth = 2 * sum(math.comb(12, k) for k in range(3)) / 2**12  # 10 or more of 12 signs agree
    assert p == of_minus == pytest.approx(truth, abs=5 * math.sqrt(truth / 20_000))


def test_a_negative_zero_is_a_probability_of_zero():
    p, y = np.asarray([-0.0, 0.9, 0.3]), np.asarray([0, 1, 0])
    q = np.asarray([0.4, 0.6, 0.3])
    assert murphy(p, q, y) == murphy(np.abs(p), q, y)
    assert murphy(p, q, y).dominant == "first"


@pytest.mark.parametrize("values", [[0.1, math.inf, 0.2], [math.inf, -math.inf, 0.2]])
@pytest.mark.filterwarnings("error")
def test_a_series_with_an_infinite_value_has_no_error(values):
    mean = mean_of_series(np.asarray(values), horizon=2)
    assert mean.standard_error is None
    assert mean.value == math.inf or math.isnan(mean.value)


def test_a_slice_where_both_losses_are_infinite_has_no_contribution_and_is_last():
    y = np.asarray([1, 1, 0, 1, 0, 1])
    p, q = np.asarray([0.0, 0.5, 0.4, 0.5, 0.3, 0.5]), np.asarray([0.0, 0.6, 0.4, 0.7, 0.2, 0.5])
    parts = np.asarray(["a", "a", "b", "b", "c", "c"])
    slices = compare(labels=y, proba={"p": p, "q": q}, slice={"part": parts}).differences[0].slices
    assert [s["slice"] for s in slices] == ["b", "c", "a"]
    assert slices[2]["contribution"] is None
    assert slices[0]["contribution"] == pytest.approx(math.log(5 / 7) / 6)


@pytest.mark.parametrize("name", ["horizon", "permutations", "seed", "worst"])
def test_a_truth_value_is_no_number(name):
    with pytest.raises(ValueError, match=f"{name} is True; pass an integer"):
        compare(labels=Y, proba={"p": P, "q": P**1.5}, **{name: True})


def test_the_unpaired_test_counts_the_clusters_of_the_baseline(tmp_path):
    clustered = evaluate(labels=Y, proba=P, cluster=np.arange(1000) // 200)
    (tmp_path / "base.json").write_text(clustered.to_json())
    model = evaluate(labels=Y, proba=P**1.5)
    sentence = unpaired_gate("m", model, read_baseline(tmp_path / "base.json"), None, "").sentence
    reach = student_quantile(0.975, 4) * math.hypot(model.standard_error, clustered.standard_error)
    assert f"to {model.log_loss - clustered.log_loss + reach:.6g};" in sentence


@pytest.mark.parametrize("tree", [[], 1, {"n": 5}])
def test_other_json_is_no_baseline(tree, tmp_path):
    (tmp_path / "base.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match="is no result of crossentropy evaluate --json"):
        read_baseline(tmp_path / "base.json")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, bool])
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_of_one_byte_are_the_labels(dtype, classes):
    y = (Y + np.arange(1000) % (classes - 1)).astype(np.int64) % (2 if dtype is bool else classes)
    p = (
        {"p": P, "q": Q}
        if classes == 2
        else {"p": np.stack([P, 1 - P, P] / (1 + P)).T, "q": np.full((1000, 3), 1 / 3)}
    )
    first, second = (compare(labels=labels, proba=p, permutations=100) for labels in (y, y.astype(dtype)))
    assert first == second
