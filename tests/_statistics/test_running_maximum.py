"""Long rows are summed below the tops known so far; whatever comes late is worth as much as if it had come first."""

import numpy as np
import pytest

from crossentropy._statistics import Prior, Target, row_statistics

CLASSES = 9001  # two whole chunks, and a part of one
EPS = {"float64": 2.0**-53, "float32": 2.0**-24}
WIDE = np.longdouble

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_order = pytest.mark.parametrize("order", ["rising", "falling", "one late", "shuffled"])


def row(order, dtype):
    z = np.random.default_rng(0).normal(size=CLASSES) * 3
    if order in ("rising", "falling"):
        z = np.sort(z)[:: 1 if order == "rising" else -1]
    if order == "one late":
        z[-2] = 40.0
    return z.astype(dtype)


def log_sum(u):
    return u.max() + np.log(np.exp(u - u.max()).sum())


def sets():
    tenth = np.random.default_rng(1).random(CLASSES) < 0.1
    late = np.arange(CLASSES) >= CLASSES - 5
    alone = np.arange(CLASSES) == CLASSES - 1
    return {
        "a tenth": tenth,
        "the last": late,
        "one": alone,
        "all but one": ~alone,
        "all but the last": ~late,
    }


@each_dtype
@each_order
@pytest.mark.parametrize("members", sets())
def test_log_odds_of_a_set_are_those_of_the_definition(members, order, dtype):
    z, mask = row(order, dtype), sets()[members]
    found = row_statistics(z[None], 1, Target(mask=mask[None])).log_odds[0]
    u = z.astype(WIDE)
    truth = log_sum(u[~mask]) - log_sum(u[mask])
    assert abs(found - truth) <= 8 * EPS[dtype] * max(1, abs(truth), np.ptp(u) / 4)


@each_dtype
def test_a_late_set_of_the_lowest_numbers_is_counted(dtype):
    """A mask often writes the lowest number there is in place of −∞; such a set is unlikely, not impossible."""
    lowest = np.finfo(dtype).min
    z, mask = row("shuffled", dtype) / 4, sets()["the last"]
    z[mask] = lowest
    found = row_statistics(z[None], 1, Target(mask=mask[None])).log_odds[0]
    others = z[~mask].astype(WIDE)
    truth = log_sum(others) - np.log(WIDE(mask.sum())) - WIDE(lowest)
    assert abs(found - truth) <= 8 * EPS[dtype] * truth


@each_dtype
@each_order
@pytest.mark.parametrize("hole", [None, 3, 5000, 9000], ids=["", "first", "middle", "last"])
def test_a_cross_entropy_against_a_vector_is_that_of_the_definition(hole, order, dtype):
    z, y = row(order, dtype), np.array([4097])
    r = np.random.default_rng(2).random(CLASSES).astype(np.float32)
    if hole is not None:  # 0 times what is impossible
        z[hole], r[hole] = -np.inf, 0
    found = row_statistics(z[None], 1, Target(indices=y), prior=Prior(r)).prior_term[0]
    here = np.isfinite(z)
    u, w = z[here].astype(WIDE), r[here].astype(WIDE)
    terms = w * (log_sum(u) - u)
    assert abs(found - terms.sum()) <= 8 * EPS[dtype] * terms.sum()


@each_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("place", [0, 5000, 9000])
@pytest.mark.parametrize("belongs", [False, True])
def test_a_row_with_a_nan_or_infinity_on_either_side_of_its_set_is_nan(belongs, place, bad, dtype):
    z, mask = row("rising", dtype), sets()["a tenth"]
    z[place], mask[place] = bad, belongs
    assert np.isnan(row_statistics(z[None], 1, Target(mask=mask[None])).log_odds[0])
