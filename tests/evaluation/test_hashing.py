"""Hashes of values: what a cluster is called does not depend on what stands beside it."""

import datetime

import numpy as np
import pytest

from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._hashing import hash_values

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
