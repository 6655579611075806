"""The oracle checked by what it does not use: finite differences, closed forms, SciPy and PyTorch."""

import math

import numpy as np
import pytest
from scipy.special import entr, log_softmax, logsumexp, softmax

import oracle
import oracle_rows
import ulps
from oracle import CrossEntropy, Focal, Options, Transform, ctx, mpf

RNG = np.random.default_rng(0)
Z = RNG.normal(size=5) * 3
W = RNG.uniform(0.3, 2.0, size=5)
PRIOR = RNG.dirichlet(np.ones(5))
TARGETS = {
    "index": oracle.index_targets([2], 5)[0],
    "dense": oracle.dense_targets([RNG.dirichlet(np.ones(5))])[0],
    "unnormalized": oracle.dense_targets([RNG.normal(size=5)])[0],
    "sparse": oracle.sparse_targets([[1, 4, 1]], [[0.2, 0.5, 0.3]], 5)[0],
    "set": oracle.set_targets([[True, False, True, False, False]])[0],
}
TRANSFORM = Transform(mpf("1.7"), mpf("4.0"), oracle.numbers(RNG.normal(size=5)), oracle.numbers(W))


@pytest.mark.parametrize("link", [CrossEntropy(), Focal(2.0), Focal(0.5), Focal(1.0)], ids=str)
@pytest.mark.parametrize("form", TARGETS)
def test_gradients_are_the_finite_differences_of_the_loss(form, link):
    target = TARGETS[form]
    options = Options(
        TRANSFORM,
        link,
        label_smoothing=mpf(0) if form == "set" else mpf("0.1"),
        smoothing_prior=oracle.numbers(PRIOR),
        class_weight=oracle.numbers(W),
        z_loss=mpf("0.01"),
        entropy_bonus=mpf("0.3"),
    )
    z = oracle.numbers(Z)
    gradient = oracle.row(z, target, options, mpf("1.3")).gradient
    for c in range(5):
        slope = oracle.derivative(
            lambda x, c=c: oracle.row([*z[:c], x, *z[c + 1 :]], target, options, mpf("1.3")).loss, z[c]
        )
        assert abs(slope - gradient[c]) < 1e-30


@pytest.mark.parametrize("link", [Focal(2.0), Focal(0.5), CrossEntropy()], ids=str)
def test_gain_is_minus_the_derivative_of_the_loss_in_log_p(link):
    for l in map(mpf, ["-30", "-1", "-0.01"]):
        assert abs(link.gain(l) + oracle.derivative(link.loss, l)) < 1e-30


def test_without_smoothing_bonus_and_z_loss_an_index_is_the_log_softmax():
    assert float(oracle.row(oracle.numbers(Z), TARGETS["index"], Options()).loss) == pytest.approx(
        -log_softmax(Z)[2], rel=1e-15
    )


def test_statistics_agree_with_scipy():
    p = softmax(Z)
    s = oracle.statistics(Z, 2)
    assert float(s.prob) == pytest.approx(p[2], rel=1e-14)
    assert float(s.log_odds) == pytest.approx(math.log(p[2] / (1 - p[2])), rel=1e-13)
    assert float(s.logsumexp) == pytest.approx(logsumexp(Z), rel=1e-14)
    assert float(s.entropy) == pytest.approx(entr(p).sum(), rel=1e-14)
    assert (s.argmax, s.rank) == (int(np.argmax(Z)), int((Z[2] < Z).sum()))


def test_rank_counts_equal_classes_before_the_target_only():
    assert [oracle.statistics([1.0, 1.0, 0.0, 1.0], y).rank for y in range(4)] == [0, 1, 3, 2]


@pytest.mark.parametrize(
    ("margin", "loss"), [(17, "4.1399377e-8"), (20, "2.0611537e-9"), (40, "4.2483543e-18"), (100, "3.72e-44")]
)
def test_a_confident_row_keeps_its_digits(margin, loss):
    row = oracle_rows.index_row([float(margin), 0.0], 0)
    assert abs(row.loss / mpf(loss) - 1) < (1e-3 if margin == 100 else 1e-7)
    other = row.slopes[row.which[1]]
    assert abs(row.target_slope + other) < other * 1e-14
    assert abs(row.loss - ctx.log1p(ctx.exp(-margin))) < row.loss * 1e-50


def test_class_weights_multiply_the_smoothed_target_and_weigh_the_row_before_smoothing():
    weights = np.array([1.0, 2.0, 5.0])
    z, epsilon = np.array([0.3, -0.2, 0.9]), 0.2
    q = (1 - epsilon) * np.eye(3)[2] + epsilon / 3
    solution = oracle.solve(
        z[None], oracle.index_targets([2], 3), class_weight=weights, label_smoothing=epsilon
    )
    assert float(solution.value) == pytest.approx(-(weights * q) @ log_softmax(z) / 5.0, rel=1e-14)


def test_count_normalizes_by_rows_of_weight_zero_too_but_not_by_ignored_ones():
    targets = oracle.index_targets([0, 1, -1], 2, ignore_index=-1)
    solution = oracle.solve(np.zeros((3, 2)), targets, sample_weight=[1.0, 0.0, 1.0], normalizer="count")
    assert float(solution.value) == pytest.approx(math.log(2) / 2, rel=1e-15)


@pytest.mark.parametrize(("label_smoothing", "weights"), [(0.0, None), (0.1, None), (0.0, W), (0.1, W)])
def test_the_mean_of_index_targets_is_that_of_pytorch(label_smoothing, weights):
    torch = pytest.importorskip("torch")
    z, y = RNG.normal(size=(4, 5)), np.array([0, 3, -100, 4])
    ours = oracle.solve(
        z, oracle.index_targets(y, 5, -100), label_smoothing=label_smoothing, class_weight=weights
    )
    logits = torch.tensor(z, requires_grad=True)
    weight = None if weights is None else torch.tensor(weights)
    theirs = torch.nn.functional.cross_entropy(
        logits, torch.tensor(y), weight=weight, label_smoothing=label_smoothing
    )
    theirs.backward()
    np.testing.assert_allclose(ours.value, theirs.item(), rtol=1e-14)
    np.testing.assert_allclose(ours.gradient, logits.grad.numpy(), rtol=1e-12, atol=1e-16)


def test_the_float64_batch_agrees_with_the_exact_rows():
    z, y = RNG.normal(size=(6, 9)) * 5, RNG.integers(0, 9, size=6)
    losses, gradient = oracle_rows.plain_float64(z, y)
    exact = oracle.solve(z, oracle.index_targets(y, 9), reduction="none")
    np.testing.assert_allclose(losses, exact.value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gradient, exact.gradient, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_unit_is_the_spacing_of_numpy(dtype):
    values = np.array([1.0, 1.5, 3.0, 6.1e-5, 1e-7, 0.0], dtype=dtype)
    np.testing.assert_array_equal(ulps.unit(values, dtype), np.spacing(values).astype(np.float64))


def test_errors_see_below_the_last_bit_of_float64():
    third = mpf(1) / 3
    assert ulps.errors(1 / 3, third)[0] == float(mpf(1 / 3) - third) != 0.0
