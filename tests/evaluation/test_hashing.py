"""Hashes of values: what a cluster is called does not depend on what stands beside it."""

import datetime

import numpy as np
import pytest

from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._hashing import hash_values, sort_keys

DAY = datetime.date(2020, 1, 1)


@pytest.mark.parametrize(
    ("alone", "value"),
    [
        (np.asarray([7]), 7),
        (np.asarray([7.0]), 7),
        (np.asarray([2.5]), 2.5),
        (np.asarray([True]), True),
        (np.asarray(["de"]), "de"),
        (np.asarray([DAY], "M8[D]"), DAY),
    ],
    ids=str,
)
def test_a_value_has_one_hash_with_and_without_nulls_beside_it(alone, value):
    (expected,) = hash_values(alone)
    for column in [value, None], np.asarray([value, None], object), Coded(np.asarray([0, -1]), [value]):
        assert hash_values(column)[0] == expected
        assert hash_values(column)[1] != expected


def test_the_text_of_a_number_is_not_the_number():
    assert len({*hash_values([7, "7", None, "None"]).tolist()}) == 4


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 300_000])
@pytest.mark.parametrize("bits", [1, 11, 12, 52, 64])
def test_keys_are_sorted_as_numpy_does(n, bits):
    r = np.random.default_rng(n)
    keys = r.integers(0, 2**bits, n, dtype=np.uint64, endpoint=False) << np.uint64(64 - bits)
    truth = np.sort(keys)
    sort_keys(keys)
    assert (keys == truth).all()
