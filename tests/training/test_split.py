import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossentropy.training.errors import InputError
from crossentropy.training.split import FEWEST_ROWS, stratified_split

COUNTS = st.lists(st.integers(FEWEST_ROWS, 60), min_size=2, max_size=8)


def shuffled_labels(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@given(COUNTS, st.integers(0, 1000))
def test_every_row_is_in_one_part(counts, seed):
    labels = shuffled_labels(counts, seed)
    split = stratified_split(labels, list(range(len(counts))), seed)
    assert sorted(np.concatenate(split)) == list(range(len(labels)))


@given(COUNTS, st.integers(0, 1000))
def test_a_fifth_of_each_class_is_tested_on_and_a_fifth_validated_on(counts, seed):
    labels = shuffled_labels(counts, seed)
    split = stratified_split(labels, list(range(len(counts))), seed)
    fifths = np.maximum(1, np.rint(np.array(counts) / 5))
    np.testing.assert_array_equal(np.bincount(labels[split.test], minlength=len(counts)), fifths)
    np.testing.assert_array_equal(np.bincount(labels[split.validation], minlength=len(counts)), fifths)


def test_the_seed_decides():
    labels = shuffled_labels([50, 50], 0)
    first, again, other = (stratified_split(labels, [0, 1], seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.test, other.test)


def test_a_rows_part_does_not_depend_on_its_place_in_the_table():
    """Tables are often sorted; the first rows must not be likelier to be held out than the last."""
    labels = np.repeat([0, 1], 50)
    held_out = np.concatenate([stratified_split(labels, [0, 1], seed).test for seed in range(400)])
    share = np.bincount(held_out, minlength=100) / 400
    assert np.abs(share - 0.2).max() < 0.1  # five standard deviations


def test_a_class_too_small_to_be_split_is_named():
    with pytest.raises(InputError, match=rf"at least {FEWEST_ROWS} rows.*'rare'"):
        stratified_split(shuffled_labels([FEWEST_ROWS - 1, 30], 0), ["rare", "common"], 0)


SHARE = st.floats(0.01, 1)


@given(COUNTS, st.tuples(SHARE, SHARE, SHARE), st.integers(0, 1000))
def test_every_class_is_in_every_part_whatever_the_shares(counts, shares, seed):
    labels = shuffled_labels(counts, seed)
    split = stratified_split(labels, list(range(len(counts))), seed, shares)
    assert sorted(np.concatenate(split)) == list(range(len(labels)))
    for part in split:
        assert np.bincount(labels[part], minlength=len(counts)).min() >= 1


def test_shares_are_those_asked_for():
    split = stratified_split(np.repeat([0, 1], 50), [0, 1], 0, (7, 2, 1))
    assert [len(part) for part in split] == [70, 20, 10]


def test_without_a_held_out_share_the_other_shares_are_of_all_rows():
    split = stratified_split(np.repeat([0, 1], 50), [0, 1], 0, (60, 20, 0))
    assert [len(part) for part in split] == [76, 24, 0]  # a quarter of 50 rows is 12.5, rounded to even
