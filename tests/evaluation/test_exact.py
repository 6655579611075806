"""Sums without rounding, against `math.fsum` and rational numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy.evaluation._exact import UNIT, GroupSums, add_poisson, exact_sums

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
SIMILAR = st.floats(-1e3, 1e3)
NUMBERS = st.lists(FINITE, max_size=200) | st.lists(SIMILAR, max_size=200)


def fractions(sums):
    return [Fraction(x, 2**UNIT) for x in sums.scaled()]


def fraction(total):
    return Fraction(total.scaled, 2**UNIT)


def total(x):
    return exact_sums([np.asarray(x, np.float64)])[0]


@settings(max_examples=300)
@given(NUMBERS)
def test_a_sum_is_exact_whatever_its_numbers(x):
    assert fraction(total(x)) == sum(map(Fraction, x), Fraction(0))


@settings(max_examples=100)
@given(NUMBERS, st.randoms())
def test_a_sum_is_that_of_fsum_in_any_order(x, random):
    shuffled = random.sample(x, len(x))
    try:
        expected = math.fsum(x)
    except OverflowError:
        return
    assert float(total(x)) == float(total(shuffled)) == expected


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-17, 1.0, 1e17, 1e300])
def test_long_sums_are_exact_at_every_scale(scale):
    r = np.random.default_rng(1)
    x = r.normal(size=50_001) * scale * 2.0 ** r.integers(-60, 1, 50_001)
    assert float(exact_sums([x])[0]) == math.fsum(x)


def test_numbers_that_cancel_leave_what_is_between_them():
    x = np.tile([1e300, 1.0, -1e300, 1e-300], 10_000)
    assert fraction(total(x)) == 10_000 * (1 + Fraction(1e-300))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([1.0, math.inf], math.inf),
        ([1.0, -math.inf], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1.0], math.nan),
        ([1e308] * 100, math.inf),
    ],
)
def test_what_is_not_finite_is_told_apart(x, expected):
    for n in (len(x), 5000):  # with others beside it
        found = float(total([*x, *[0.0] * (n - len(x))]))
        assert found == expected or (math.isnan(found) and math.isnan(expected))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(1e-100, 1e100)), min_size=1, max_size=100))
def test_sums_of_products_are_exact(pairs):
    pairs = [(x, y) for x, y in pairs if x == 0 or abs(x * y) > 1e-280]
    x, y = np.asarray(pairs, np.float64).reshape(-1, 2).T.copy()
    expected = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    assert fraction(exact_sums([(x, y)])[0]) == expected


@settings(max_examples=100)
@given(st.lists(st.tuples(FINITE, st.integers(0, 4)), max_size=100), st.integers(0, 100))
def test_sums_by_group_are_exact_and_merge(rows, cut):
    halves = []
    for part in (rows[:cut], rows[cut:]):
        sums = GroupSums(5)
        sums.add(np.asarray([x for x, _ in part], np.float64), np.asarray([g for _, g in part], np.int32))
        halves.append(sums)
    halves[0].add_from(halves[1])
    expected = [sum((Fraction(x) for x, g in rows if g == k), Fraction(0)) for k in range(5)]
    assert fractions(halves[0]) == expected


@pytest.mark.parametrize("groups", [1, 7, 100])  # of the last, each has few numbers
def test_sums_and_products_by_group_of_many_numbers_are_exact(groups):
    r = np.random.default_rng(groups)
    x = r.normal(size=3001) * 2.0 ** r.integers(-300, 300, 3001)
    y = r.normal(size=3001) * 2.0 ** r.integers(-100, 100, 3001)
    x[[5, 9]] = np.inf, np.nan
    place = r.integers(0, groups, 3001).astype(np.int32)
    finite = np.isfinite(x)
    ones = np.ones(3001)
    for term in (x, (x, y), (x, x)):
        sums = GroupSums(groups)
        sums.add(term, place)
        factors = term if isinstance(term, tuple) else (term, ones)
        rows = [
            Fraction(a) * Fraction(b) for a, b in zip(*(f[finite].tolist() for f in factors), strict=True)
        ]
        expected = [Fraction(0)] * groups
        for value, g in zip(rows, place[finite].tolist(), strict=True):
            expected[g] += value
        assert fractions(sums) == expected


def test_the_multiplicities_of_a_bootstrap_are_those_of_poisson():
    counts, firsts = GroupSums(2000), GroupSums(2000)
    first = np.zeros(500)
    first[0] = 1.0
    add_poisson(counts, firsts, np.ones(500), first, np.arange(500, dtype=np.uint64), 7)
    total = np.asarray([float(x) for x in fractions(counts)])
    assert abs(total.mean() - 500) < 4 * np.sqrt(500 / 2000)
    assert abs(total.var() / 500 - 1) < 4 * np.sqrt(2 / 2000)
    found = np.bincount([int(x) for x in fractions(firsts)], minlength=5)[:5] / 2000
    assert found == pytest.approx(
        [math.exp(-1) / math.factorial(k) for k in range(5)], abs=4 * 0.5 / np.sqrt(2000)
    )


def test_the_multiplicity_of_a_row_depends_on_its_key_and_the_seed_alone():
    def drawn(keys, seed=3):
        sums, others = GroupSums(50), GroupSums(50)
        x = 2.0 ** np.arange(len(keys))
        add_poisson(sums, others, x, 3 * x, np.asarray(keys, np.uint64), seed)
        assert others.scaled() == [3 * total for total in sums.scaled()]
        return sums.scaled()

    parts = [drawn([5]), [2 * x for x in drawn([9])]]
    assert drawn([5, 9]) == [a + b for a, b in zip(*parts, strict=True)]
    assert drawn([5]) != drawn([5], seed=4)


@given(st.lists(st.lists(st.integers(0, 2**40), min_size=3, max_size=3), max_size=5))
def test_counts_are_added_as_whole_numbers(rows):
    sums = GroupSums(3)
    for counts in rows:
        sums.add_counts(np.asarray(counts, np.int64))
    assert fractions(sums) == [sum(column) for column in zip(*rows, strict=True)] or not rows
