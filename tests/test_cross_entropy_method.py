"""The cross-entropy method: each step fits the elite, and the steps find minima."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import crossentropy as ce
from crossentropy.cross_entropy_method import minimize, minimize_discrete

SEEDS = (0, 1, 2, 3, 4)
each_seed = pytest.mark.parametrize("seed", SEEDS)


class Recorded:
    """A function that keeps what it was asked for."""

    def __init__(self, function):
        self.function, self.asked, self.values = function, [], []

    def __call__(self, x):
        self.asked.append(x.copy())
        self.values.append(self.function(x))
        return self.values[-1]

    def elite(self, iteration, count):
        return self.asked[iteration][np.argsort(self.values[iteration], kind="stable")[:count]]


def sphere(x):
    return np.sum((x - 1) ** 2, axis=1)


def rosenbrock(x):
    return 100 * (x[:, 1] - x[:, 0] ** 2) ** 2 + (1 - x[:, 0]) ** 2


# --------------------------------------------------------------------------------------- what a step does


def test_a_step_is_the_least_weighted_cross_entropy_of_discrete_candidates():
    """De Boer et al. 2005: v ← argmin −Σ 1[x is elite] ln f(x; v), which the elite's frequencies are."""
    function = Recorded(lambda x: np.abs(x - [0, 1, 2, 2]).sum(axis=1))
    found = minimize_discrete(
        function, np.full((4, 3), 1 / 3), samples=60, smoothing=1.0, iterations=1, seed=5
    )
    x, values = function.asked[0], function.values[0]
    is_elite = np.zeros(60)
    is_elite[np.argsort(values, kind="stable")[:6]] = 1
    for choice, p in enumerate(found.probabilities):
        frequencies = np.bincount(x[is_elite == 1, choice], minlength=3) / 6
        np.testing.assert_allclose(p, frequencies, rtol=1e-15)
        with np.errstate(divide="ignore"):
            logits = np.broadcast_to(np.log(p), (60, 3))
        _, gradient = ce.loss_and_gradient(
            ce.softmax_cross_entropy, logits.copy(), x[:, choice], sample_weight=is_elite
        )
        np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-16)  # the loss is convex: its minimum


def test_a_step_is_the_least_weighted_cross_entropy_of_normal_candidates():
    function = Recorded(sphere)
    found = minimize(function, np.zeros(3), 2.0, samples=50, elite=0.2, smoothing=1.0, iterations=1, seed=5)
    elite = function.elite(0, 10)

    def cross_entropy(mean, std):
        return np.mean(np.sum(np.log(std) + (elite - mean) ** 2 / (2 * std**2), axis=1))

    least = cross_entropy(found.mean, found.std)
    for i, step in itertools.product(range(3), (-0.01, 0.01)):
        off = step * np.eye(3)[i]
        assert cross_entropy(found.mean + off, found.std) > least
        assert cross_entropy(found.mean, found.std + off) > least


def test_smoothing_goes_that_far_from_the_old_parameters_to_the_elites():
    function = Recorded(sphere)
    found = minimize(function, np.zeros(3), 2.0, smoothing=0.3, iterations=1, seed=1)
    elite = function.elite(0, 10)
    np.testing.assert_allclose(found.mean, 0.3 * elite.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.std, 0.7 * 2 + 0.3 * elite.std(axis=0), rtol=1e-14)


def test_noise_widens_every_step():
    plain, noisy = (minimize(sphere, np.zeros(3), 2.0, iterations=1, noise=n, seed=1) for n in (0, 0.25))
    np.testing.assert_allclose(noisy.std, plain.std + 0.25, rtol=1e-14)
    falling = minimize(sphere, np.zeros(3), 2.0, iterations=2, noise=lambda i: [0.5, 0.0][i], seed=1)
    np.testing.assert_allclose(falling.history[0].parameters[1], plain.std + 0.5, rtol=1e-14)


def test_candidates_without_a_value_are_never_of_the_elite():
    def half(x):
        return np.where(x[:, 0] > 0, np.nan, np.sum(x**2, axis=1))

    found = minimize(half, [1.0, 1.0], 2.0, seed=3)
    assert found.mean[0] <= 0
    assert np.isfinite(found.value)
    with pytest.raises(ValueError, match="NaN for all 100"):
        minimize(lambda x: np.full(len(x), np.nan), [0.0], 1.0)


def test_what_has_no_probability_is_never_drawn():
    function = Recorded(lambda x: x.sum(axis=1))
    start = np.array([[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])
    minimize_discrete(function, start, seed=0)
    assert set(np.unique(np.concatenate(function.asked)[:, 0])) == {1, 2}
    assert set(np.unique(np.concatenate(function.asked)[:, 1])) == {3}


# ------------------------------------------------------------------------------------------ what they find


@each_seed
def test_it_finds_the_minimum_of_a_sphere_of_ten_dimensions(seed):
    found = minimize(sphere, np.full(10, -4.0), 4.0, samples=200, seed=seed)
    assert found.converged
    assert np.abs(found.mean - 1).max() < 1e-5
    assert found.value < 1e-10


@each_seed
def test_it_finds_the_minimum_of_rosenbrocks_valley(seed):
    """Its floor is curved and nearly flat: without noise the normal shrinks before it has gone along it."""
    found = minimize(
        rosenbrock, [-1.0, 2.0], 2.0, samples=200, noise=lambda i: 0.3 * 0.97**i, iterations=600, seed=seed
    )
    assert found.converged
    assert np.abs(found.x - 1).max() < 1e-4
    assert found.value < 1e-8


@each_seed
def test_it_finds_the_largest_cut_of_a_graph(seed):
    edges = np.argwhere(np.triu(np.random.default_rng(seed).random((12, 12)) < 0.4, k=1))

    def uncut(x):
        return np.sum(x[:, edges[:, 0]] == x[:, edges[:, 1]], axis=1)

    least = uncut(np.array(list(itertools.product((0, 1), repeat=12)))).min()
    found = minimize_discrete(uncut, np.full((12, 2), 0.5), samples=200, seed=seed)
    assert found.value == least
    assert uncut(found.x[None])[0] == least


def test_a_function_may_write_into_its_candidates():
    def shifts(x):
        x -= 1
        return np.sum(x**2, axis=1)

    plain, shifted = (minimize(function, [0.0, 0.0], 1.0, seed=0) for function in (sphere, shifts))
    np.testing.assert_array_equal(shifted.x, plain.x)
    np.testing.assert_array_equal(shifted.mean, plain.mean)


def test_it_stays_within_bounds_and_finds_minima_on_them():
    function = Recorded(sphere)
    found = minimize(function, [0.0, 0.0], 1.0, bounds=([-1.0, -2.0], [0.5, 2.0]), seed=0)
    asked = np.concatenate(function.asked)
    assert (asked >= [-1, -2]).all()
    assert (asked <= [0.5, 2]).all()
    np.testing.assert_allclose(found.x, [0.5, 1.0], atol=1e-5)


# --------------------------------------------------------------------------------------------- what it says


def test_the_same_seed_is_the_same_search():
    one, same, own = (minimize(rosenbrock, [0.0, 0.0], 1.0, seed=s) for s in (7, 7, np.random.default_rng(7)))
    np.testing.assert_array_equal(one.mean, same.mean)
    np.testing.assert_array_equal(one.mean, own.mean)
    other = minimize(rosenbrock, [0.0, 0.0], 1.0, seed=8)
    assert (one.x != other.x).any()


def test_the_result_is_the_best_of_all_that_was_asked_for():
    function = Recorded(rosenbrock)
    found = minimize(function, [0.0, 0.0], 1.0, iterations=7, seed=2)
    assert not found.converged
    assert found.evaluations == sum(map(len, function.asked)) == 700
    assert found.value == min(map(np.min, function.values)) == rosenbrock(found.x[None])[0]
    for record, values in zip(found.history, function.values, strict=True):
        assert record.best == np.sort(values)[0]
        assert record.threshold == np.sort(values)[9]
    np.testing.assert_array_equal(found.history[-1].parameters, found.parameters)


def test_each_kind_of_result_names_its_own_parameters():
    normal = minimize(sphere, [0.0], 1.0, iterations=1)
    discrete = minimize_discrete(lambda x: x[:, 0], [[0.5, 0.5]], iterations=1)
    with pytest.raises(AttributeError, match="but a mean and a std"):
        normal.probabilities  # noqa: B018
    with pytest.raises(AttributeError, match="no std, but probabilities"):
        discrete.std  # noqa: B018


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimize(sphere, 0.0, 1.0), r"mean has shape \(\)"),
        (lambda: minimize(sphere, [0.0, 1.0], -1.0), "std is -1.0"),
        (lambda: minimize(sphere, [0.0, 1.0], [1.0, 1.0, 1.0]), "one, or 2"),
        (lambda: minimize(sphere, [0.0, np.nan], 1.0), r"mean is \[0.0, nan\]; pass finite"),
        (lambda: minimize(sphere, [0.0], 1.0, bounds=(1.0, 0.0)), "the low ones not above"),
        (lambda: minimize(sphere, [0.0], 1.0, bounds=(np.zeros(3), 1.0)), "each a number or 1 of them"),
        (lambda: minimize(sphere, [0.0, 1.0], 1.0, bounds=(np.zeros((100, 1)), 1.0)), "or 2 of them"),
        (lambda: minimize(sphere, [0.0], 1.0, bounds=(0.0, 1.0, 2.0)), r"pass \(low, high\)"),
        (lambda: minimize(sphere, [0.0], 1.0, bounds=1.0), r"pass \(low, high\)"),
        (lambda: minimize(sphere, [0.0], 1.0, noise=-0.5), "noise is -0.5 in iteration 0"),
        (lambda: minimize(sphere, [0.0], 1.0, noise=lambda i: np.nan), "noise is nan in iteration 0"),
        (lambda: minimize(sphere, [0.0], 1.0, samples=50.0), "samples is 50.0; pass a whole number"),
        (lambda: minimize(sphere, [0.0], 1.0, samples=1), "samples is 1; .*at least 2"),
        (lambda: minimize(sphere, [0.0], 1.0, tolerance=np.nan), "tolerance is nan"),
        (lambda: minimize(sphere, [0.0], 1.0, elite=0.0), "elite is 0.0"),
        (lambda: minimize(sphere, [0.0], 1.0, smoothing=1.5), "smoothing is 1.5"),
        (lambda: minimize(sphere, [0.0], 1.0, iterations=0), "iterations is 0"),
        (lambda: minimize(lambda x: x, [0.0], 1.0), r"one value for each, shape \(100,\)"),
        (lambda: minimize_discrete(sphere, [0.5, 0.5]), r"pass \(d, C\)"),
        (lambda: minimize_discrete(sphere, [[0.5, 0.4]]), "does not sum to one"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
