"""Statistics of linear heads of NumPy arrays, and heads of libraries for which the logits are made whole."""

import numpy as np
import pytest
from hypothesis import given, settings

import crossentropy as ce
from crossentropy._engine.linear import numpy_blocks, problem
from frameworks import NUMPY, Strict
from softmax_problems import problems

bounded = settings(derandomize=True, max_examples=40, deadline=None, database=None)
N, D, V = 11, 5, 41


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Of three rows and sixteen classes, so that small heads have many."""
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 3)
    monkeypatch.setattr(numpy_blocks, "TILE", 16)


def head(rows=(N,), D=D, V=V):
    rng = np.random.default_rng(0)
    return rng.normal(size=(*rows, D)), rng.normal(size=(V, D)), rng.integers(0, V, size=rows)


def test_statistics_are_those_of_the_logits():
    hidden, weight, y = head((2, 6))
    asked = {"entropy": True, "rank": True, "softcap": 5.0, "ignore_index": 3}
    expected = ce.target_statistics(hidden @ weight.T, y, **asked)
    found = ce.linear_target_statistics(hidden, weight, y, **asked)
    for name in ("log_prob", "prob", "log_odds", "logsumexp", "entropy", "argmax", "rank"):
        got, truth = getattr(found, name), getattr(expected, name)
        assert got.dtype == truth.dtype
        np.testing.assert_allclose(got, truth, rtol=1e-12, atol=1e-14, err_msg=name)
    shifted = ce.linear_target_statistics(hidden, weight, y, shift=1, ignore_index=3)
    ahead = ce.target_statistics((hidden @ weight.T)[:, :-1], y[:, 1:], ignore_index=3)
    np.testing.assert_allclose(shifted.log_prob, ahead.log_prob, rtol=1e-12)


def test_statistics_of_soft_targets_are_those_of_the_logits():
    hidden, weight, _ = head()
    q = np.random.default_rng(5).dirichlet(np.ones(V), size=N)
    pairs = ce.targets.Sparse(np.arange(2 * N).reshape(N, 2), np.full((N, 2), 0.5))
    for target in (q, pairs):
        found = ce.linear_target_statistics(hidden, weight, target).log_prob
        np.testing.assert_allclose(
            found, ce.target_statistics(hidden @ weight.T, target).log_prob, rtol=1e-12
        )


@bounded
@given(problem=problems())
def test_a_library_that_has_nothing_but_the_array_api_makes_the_logits_whole(problem):
    strict = Strict()
    rows, classes = problem.logits.shape
    hidden, weight, _ = head((rows,), 3, classes)
    given = hidden, weight, problem.labels(NUMPY)
    try:
        expected = ce.linear_cross_entropy(*given, **problem.keywords())
    except ValueError as error:
        with pytest.raises(ValueError, match="average"):
            raise error
        return
    options = {name: strict.own(x) for name, x in problem.keywords().items()}
    found = ce.linear_cross_entropy(strict.own(hidden), strict.own(weight), problem.labels(strict), **options)
    np.testing.assert_allclose(strict.numpy(found), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("library", ["array_api_strict", "long double"])
def test_low_rank_bias_shift_and_statistics_need_no_kernel(library):
    hidden, weight, y = head((2, 6))
    rng = np.random.default_rng(6)
    parts = (hidden, weight, rng.normal(size=V), rng.normal(size=(2, D)), rng.normal(size=(V, 2)))
    if library == "long double":
        own = [x.astype(np.longdouble) for x in parts]
    else:
        own = [Strict().own(x) for x in parts]
        y = Strict().own(y)
    given = {"shift": 1, "ignore_index": 3}

    def called(function, parts, y, **options):
        hidden, weight, bias, *low_rank = parts
        return function(hidden, weight, y, bias=bias, low_rank=tuple(low_rank), **given, **options)

    as_numpy = np.asarray(y)
    found = called(ce.linear_cross_entropy, own, y, reduction="none")
    expected = called(ce.linear_cross_entropy, parts, as_numpy, reduction="none")
    assert found.shape == (2, 5)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-14)
    found = called(ce.linear_target_statistics, own, y, rank=True)
    expected = called(ce.linear_target_statistics, parts, as_numpy, rank=True)
    np.testing.assert_allclose(np.asarray(found.log_prob), expected.log_prob, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(np.asarray(found.rank), expected.rank)
