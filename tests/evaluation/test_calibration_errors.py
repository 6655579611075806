"""Calibration errors of bins, against their formulas in NumPy."""

import numpy as np
import pytest

from crossentropy.evaluation import evaluate


def binary(n=3000, seed=0):
    r = np.random.default_rng(seed)
    p = r.beta(0.7, 0.9, n)
    return p, (r.random(n) < p**1.3).astype(int), r.lognormal(size=n)


def errors(p, y, place, w):
    """The weight of each bin, and in it frequency, mean probability and number."""
    for k in np.unique(place):
        at = place == k
        yield (
            w[at].sum() / w.sum(),
            np.average(y[at], weights=w[at]),
            np.average(p[at], weights=w[at]),
            at.sum(),
        )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_errors_of_bins_of_equal_width(weighted, bins):
    p, y, w = binary()
    w = w if weighted else np.ones(len(p))
    e = evaluate(labels=y, proba=p, weight=w if weighted else None, bins=bins)
    found = list(errors(p, y, np.minimum((p * bins).astype(int), bins - 1), w))
    assert e.ece == pytest.approx(sum(s * abs(a - b) for s, a, b, _ in found), rel=1e-12)
    assert e.maximum_calibration_error == pytest.approx(max(abs(a - b) for _, a, b, _ in found), rel=1e-12)
    square = sum(s * ((a - b) ** 2 - a * (1 - a) / (n - 1)) for s, a, b, n in found)
    assert e.debiased_squared_error == pytest.approx(square, rel=1e-10)
    assert [point["frequency"] for point in e.reliability] == pytest.approx(
        [a for _, a, _, _ in found], rel=1e-12
    )
    assert [point["n"] for point in e.reliability] == [n for *_, n in found]


def test_the_debiased_square_of_calibrated_predictions_is_zero_on_average():
    squares = []
    for seed in range(60):
        r = np.random.default_rng(seed)
        p = r.choice(np.linspace(0.05, 0.95, 10), 300)
        squares.append(
            evaluate(labels=(r.random(300) < p).astype(int), proba=p, bins=10).debiased_squared_error
        )
    assert abs(np.mean(squares)) < 3.5 * np.std(squares) / np.sqrt(60)


@pytest.mark.parametrize("n", [3000, 30_000])
def test_bins_of_equal_mass_have_a_fifteenth_of_the_rows_each(n):
    """Of 30000 rows by places of the grid, whose probabilities are known to 1 part in 256."""
    p, y, _ = binary(n)
    order = np.argsort(p, kind="stable")
    place = np.empty(n, int)
    place[order] = np.minimum(15 * (np.arange(n) + 0.5) / n, 14).astype(int)
    expected = sum(s * abs(a - b) for s, a, b, _ in errors(p, y, place, np.ones(n)))
    found = evaluate(labels=y, proba=p).ece_equal_mass
    assert found == pytest.approx(expected, rel=1e-12 if n == 3000 else 1e-3)


def test_equal_predictions_are_in_one_bin():
    p = np.repeat([0.3, 0.7], 50)
    e = evaluate(labels=np.tile([0, 1], 50), proba=p)
    assert e.ece_equal_mass == pytest.approx(0.2, rel=1e-14)


@pytest.mark.parametrize("n", [2000, 12_000])
def test_the_error_of_the_classes_is_the_mean_of_each_against_the_rest(n):
    r = np.random.default_rng(1)
    p = r.dirichlet(np.ones(4), n)
    y = (p.cumsum(axis=1) < r.random((n, 1))).sum(axis=1)
    each = []
    for k in range(4):
        place = np.minimum((p[:, k] * 15).astype(int), 14)
        each.append(sum(s * abs(a - b) for s, a, b, _ in errors(p[:, k], y == k, place, np.ones(n))))
    found = evaluate(labels=y, proba=p).classwise_ece
    assert found == pytest.approx(np.mean(each), rel=1e-12 if n == 2000 else 0.05)


def test_probabilities_of_0_and_1_are_in_the_first_and_the_last_bin():
    """torchmetrics has an extra bin for 1 (#3510), and an index of −1 for 0 (#1646)."""
    e = evaluate(labels=[0, 1, 1, 0], proba=np.asarray([0.0, 1.0, 1.0, 0.0]), bins=10)
    assert [(point["from"], point["n"]) for point in e.reliability] == [(0.0, 2), (0.9, 2)]
    assert e.ece == 0
