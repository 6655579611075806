"""Statistics merge: those of a row follow from those of its parts, by the algebra of logarithms of sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy._statistics import Prior, Requested, Target, row_statistics

WANTED = Requested(log_partition=True, entropy=True, argmax=True)
bounded = settings(derandomize=True, max_examples=60, deadline=None, database=None)
LENGTHS = st.one_of(st.integers(1, 12), st.sampled_from([64, 127, 128, 129, 200, 4096, 4100]))


@st.composite
def halves(draw):
    """A row of logits, where it is cut, and a generator for the rest."""
    left, right = draw(LENGTHS), draw(LENGTHS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale, offset = draw(st.sampled_from([0.1, 1.0, 20.0])), draw(st.sampled_from([0.0, -300.0, 1000.0]))
    z = offset + scale * rng.normal(size=(3, left + right))
    return z, left, rng


def shares(left, right):
    """L of the whole, and how much of it each part has: logarithm and value."""
    L = np.logaddexp(left.log_partition, right.log_partition)
    logs = [part.log_partition - L for part in (left, right)]
    return L, logs, [np.exp(x) for x in logs]


def close(found, expected, z):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14 * np.abs(z).max() + 1e-13)


@bounded
@given(halves())
def test_the_log_partition_and_the_log_odds_of_a_row_are_those_of_its_parts_merged(row):
    z, cut, rng = row
    y = rng.integers(0, cut, size=3)
    whole = row_statistics(z, 1, Target(indices=y), requested=WANTED)
    left = row_statistics(z[:, :cut], 1, Target(indices=y), requested=WANTED)
    right = row_statistics(z[:, cut:], 1, Target(indices=np.zeros(3, dtype=int)), requested=WANTED)
    close(whole.log_partition, np.logaddexp(left.log_partition, right.log_partition), z)
    own = z[np.arange(3), y]
    close(whole.log_odds, np.logaddexp(left.log_odds, right.log_partition - own), z)


@bounded
@given(halves())
def test_the_entropy_of_a_row_is_that_of_its_parts_and_of_the_choice_between_them(row):
    z, cut, _ = row
    y = np.zeros(3, dtype=int)
    whole, left, right = (
        row_statistics(part, 1, Target(indices=y), requested=WANTED) for part in (z, z[:, :cut], z[:, cut:])
    )
    _, logs, p = shares(left, right)
    close(whole.entropy, sum(p[i] * (h.entropy - logs[i]) for i, h in enumerate((left, right))), z)


@bounded
@given(halves())
def test_cross_entropies_of_a_row_add_up_over_its_parts_and_their_way_to_the_whole(row):
    z, cut, rng = row
    a, r = rng.normal(size=z.shape), rng.uniform(size=z.shape[1])
    pieces = [slice(None), slice(None, cut), slice(cut, None)]
    whole, left, right = (
        row_statistics(z[:, s], 1, Target(dense=a[:, s]), prior=Prior(r[s]), requested=WANTED) for s in pieces
    )
    L, logs, _ = shares(left, right)
    masses = [(part.dense_total, r[s].sum()) for part, s in zip((left, right), pieces[1:], strict=True)]
    dense = sum(part.dense_term - logs[i] * masses[i][0] for i, part in enumerate((left, right)))
    prior = sum(part.prior_term - logs[i] * masses[i][1] for i, part in enumerate((left, right)))
    size = np.abs(z).max() * np.abs(a).sum(axis=1).max()
    np.testing.assert_allclose(whole.dense_term, dense, rtol=1e-11, atol=1e-14 * size + 1e-12)
    np.testing.assert_allclose(whole.prior_term, prior, rtol=1e-11, atol=1e-14 * size + 1e-12)
    np.testing.assert_allclose(whole.log_partition, L, rtol=1e-13)


@bounded
@given(halves())
def test_the_odds_of_a_set_are_those_of_its_probability_in_both_parts(row):
    z, cut, rng = row
    mask = rng.random(z.shape) < 0.3
    mask[:, [0, -1]] = [True, False]
    whole = row_statistics(z, 1, Target(mask=mask))
    inside = [
        np.logaddexp.reduce(np.where(mask, z, -np.inf)[:, s], axis=1) for s in (slice(cut), slice(cut, None))
    ]
    outside = [
        np.logaddexp.reduce(np.where(mask, -np.inf, z)[:, s], axis=1) for s in (slice(cut), slice(cut, None))
    ]
    close(whole.log_odds, np.logaddexp(*outside) - np.logaddexp(*inside), z)


@bounded
@given(halves())
def test_the_argmax_of_a_row_is_that_of_the_part_with_the_higher_top_and_the_first_of_equals(row):
    z, cut, _ = row
    z = np.round(z)
    y = np.zeros(3, dtype=int)
    whole, left, right = (
        row_statistics(part, 1, Target(indices=y), requested=WANTED).argmax
        for part in (z, z[:, :cut], z[:, cut:])
    )
    rows = np.arange(3)
    higher = z[rows, cut + right] > z[rows, left]
    np.testing.assert_array_equal(whole, np.where(higher, cut + right, left))


@pytest.mark.parametrize("classes", [7, 300])
def test_a_class_that_is_split_in_two_equal_ones_changes_nothing_but_the_entropy(classes):
    """p_c becomes two halves: the log-odds of the pair as a set are those of the class."""
    z = np.random.default_rng(0).normal(size=(4, classes)) * 3
    split = np.concatenate([z, z[:, :1]], axis=1)
    split[:, [0, -1]] -= np.log(2)
    mask = np.zeros(split.shape, dtype=bool)
    mask[:, [0, -1]] = True
    one = row_statistics(z, 1, Target(indices=np.zeros(4, dtype=int)), requested=WANTED)
    two = row_statistics(split, 1, Target(mask=mask), requested=WANTED)
    np.testing.assert_allclose(two.log_odds, one.log_odds, rtol=1e-13)
    p = 1 / (1 + np.exp(one.log_odds))
    np.testing.assert_allclose(two.entropy, one.entropy + p * np.log(2), rtol=1e-13)
