"""`target_statistics`: what a row says about its label, against the oracle."""

import numpy as np
import pytest

import oracle
import ulps
from frameworks import TORCH, each_dtype, each_framework, loss_dtype

FIELDS = ("log_prob", "prob", "log_odds", "logsumexp", "entropy")
TRANSFORMS = [
    {},
    {"temperature": 0.7},
    {"softcap": 5.0},
    {"logit_bias": np.linspace(-1, 1, 6)},
    {"margin": 0.4},
    {"temperature": 2.0, "softcap": 9.0, "logit_bias": np.linspace(-1, 1, 6), "margin": np.linspace(0, 1, 6)},
]


def batch(rows=8, classes=6, scale=4.0):
    rng = np.random.default_rng(rows * classes)
    return rng.normal(size=(rows, classes)) * scale, rng.integers(0, classes, size=rows)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: "+".join(t) or "plain")
@each_framework
def test_statistics_of_labels_are_those_of_the_definition(fw, transform):
    z, labels = batch()
    got = fw.statistics(z, labels, entropy=True, rank=True, **transform)
    vectors = {k: oracle._vector(v) for k, v in transform.items()}
    rule = oracle.Transform(**vectors)
    truth = [oracle.statistics(row, int(y), rule) for row, y in zip(z, labels, strict=True)]
    for name in FIELDS:
        expected = np.array([float(getattr(t, name)) for t in truth])
        atol = 1e-14 if name == "entropy" else 0.0
        np.testing.assert_allclose(
            fw.numpy(getattr(got, name)), expected, rtol=1e-12, atol=atol, err_msg=name
        )
    np.testing.assert_array_equal(fw.numpy(got.argmax), [t.argmax for t in truth])
    np.testing.assert_array_equal(fw.numpy(got.rank), [t.rank for t in truth])


@each_dtype
def test_statistics_of_a_confident_row_keep_their_digits(fw, dtype):
    logits = fw.array([[20.0, 0.0, 0.0]], dtype)
    got = fw.statistics(logits, np.array([0]))
    truth = oracle.statistics([20.0, 0.0, 0.0], 0)
    wide = loss_dtype(dtype)
    assert fw.dtype(got.log_prob) == wide
    for name, limit in (("log_prob", 80), ("log_odds", 4), ("prob", 1)):
        expected = getattr(truth, name)
        error = abs(ulps.errors(fw.numpy(getattr(got, name)), expected)[0])
        assert error <= limit * ulps.unit(float(expected), wide), name


@pytest.mark.parametrize("offset", [1e6, -1e6])
@each_framework
def test_log_odds_of_a_row_far_from_zero_keep_their_digits(fw, offset):
    z = (offset + batch(12)[0]).astype(np.float32)
    labels = batch(12)[1]
    got = fw.numpy(fw.statistics(fw.array(z), labels).log_odds)
    for i, y in enumerate(labels):
        truth = oracle.statistics(z[i], int(y)).log_odds
        assert abs(ulps.errors(got[i], truth)[0]) <= 4 * ulps.unit(max(1.0, abs(float(truth))), "float32")


@each_framework
def test_rank_zero_is_the_first_maximum_and_ties_rank_in_order_of_class(fw):
    z = np.array([[1.0, 1.0, 0.0, 1.0]] * 4)
    got = fw.statistics(z, np.arange(4), rank=True)
    np.testing.assert_array_equal(fw.numpy(got.rank), [0, 1, 3, 2])
    np.testing.assert_array_equal(fw.numpy(got.argmax), [0, 0, 0, 0])


@pytest.mark.parametrize("classes", [2, 3, 10, 63, 64, 65, 129, 1000, 4097])
@each_framework
def test_argmax_and_rank_are_right_for_every_size(fw, classes):
    rng = np.random.default_rng(classes)
    z = np.round(rng.normal(size=(64, classes)), 1).astype(np.float32)  # with ties
    labels = rng.integers(0, classes, size=64)
    got = fw.statistics(fw.array(z), labels, rank=True)
    own = z[np.arange(64), labels][:, None]
    before = np.arange(classes) < labels[:, None]
    np.testing.assert_array_equal(fw.numpy(got.argmax), z.argmax(axis=1))
    np.testing.assert_array_equal(fw.numpy(got.rank), ((z > own) | (before & (z == own))).sum(axis=1))


@each_framework
def test_ignored_rows_are_certain_and_rank_nowhere(fw):
    z, labels = batch(3)
    z[1] = np.nan
    labels[1] = -1
    got = fw.statistics(z, labels, ignore_index=-1, rank=True)
    assert fw.numpy(got.log_prob)[1] == 0.0
    assert fw.numpy(got.prob)[1] == 1.0
    assert int(got.argmax[1]) == int(got.rank[1]) == -1
    assert np.isfinite(fw.numpy(got.log_prob)).all()


@each_framework
def test_statistics_have_the_shape_of_the_labels_on_any_axis(fw):
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(2, 5, 3, 4)), rng.integers(0, 5, size=(2, 3, 4))
    got = fw.statistics(z, labels, axis=1, entropy=True, rank=True)
    flat = np.moveaxis(z, 1, -1).reshape(-1, 5)
    truth = [oracle.statistics(row, int(y)) for row, y in zip(flat, labels.ravel(), strict=True)]
    for name in (*FIELDS, "argmax", "rank"):
        values = fw.numpy(getattr(got, name))
        assert values.shape == labels.shape
        expected = [float(getattr(t, name)) for t in truth]
        np.testing.assert_allclose(values.ravel(), expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["entropy", "rank"])
@each_framework
def test_a_statistic_not_asked_for_names_the_flag_that_asks(fw, name):
    got = fw.statistics(*batch(2))
    with pytest.raises(AttributeError, match=f"{name}=True"):
        getattr(got, name)


@each_framework
def test_soft_targets_have_an_expected_log_probability_and_no_rank(fw):
    z, _ = batch(4)
    q = np.random.default_rng(0).dirichlet(np.ones(6), size=4)
    got = fw.statistics(z, q)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(fw.numpy(got.log_prob), (q * log_p).sum(axis=1), rtol=1e-13)
    for name in ("prob", "log_odds", "rank"):
        with pytest.raises(AttributeError):
            getattr(got, name)


def test_log_prob_of_pytorch_statistics_has_a_gradient():
    torch = pytest.importorskip("torch")
    z, labels = batch(3)
    logits = torch.tensor(z, requires_grad=True)
    got = TORCH.statistics(logits, labels, entropy=True)
    (2.0 * got.log_prob.sum() - 0.5 * got.entropy.sum() + 0.25 * (got.logsumexp**2).sum()).backward()
    truth = oracle.solve(
        z, oracle.index_targets(labels, 6), z_loss=0.125, entropy_bonus=0.25, reduction="sum"
    ).gradient
    # the loss −log p·2 + …: signs apart, the same three terms
    plain = oracle.solve(z, oracle.index_targets(labels, 6), reduction="sum").gradient
    regularized = truth - plain
    np.testing.assert_allclose(logits.grad.numpy(), -2 * plain + 2 * regularized, rtol=1e-11, atol=1e-13)
