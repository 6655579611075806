"""Products of float32 matrices (native/matmul/product.hpp): near the truth, the same bits wherever a row lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy._kernels import _native

EPS = 2.0**-24


def product(a, b, *, onto=None, threads=2):
    """``a b``, or ``onto + a b``, in memory whose rows are wider than they are long."""
    memory = np.full((len(a), b.shape[1] + 3), np.nan, np.float32)
    c = memory[:, :-3]
    if onto is not None:
        c[:] = onto
    _native.product(
        *described(a),
        *described(b),
        c.ctypes.data,
        memory.shape[1],
        *c.shape,
        len(b),
        onto is not None,
        threads,
    )
    assert np.isnan(memory[:, -3:]).all()
    return c.copy()


def described(x):
    return x.ctypes.data, *(stride // x.itemsize for stride in x.strides)


def matrix(rows, columns, layout, seed):
    """Normal numbers, whose rows, or columns, or neither, lie without gaps."""
    x = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    if layout == "by column":
        return np.asfortranarray(x)
    if layout == "every other":
        wide = np.full((rows, 2 * columns), np.nan, np.float32)
        wide[:, ::2] = x
        return wide[:, ::2]
    return x


LAYOUTS = st.sampled_from(["by row", "by column", "every other"])
# Around what the kernel takes at a time: 8 and 32, 64 and 128, 256 and 512.
SIZES = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 129, 255, 256, 257, 513]))


@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(SIZES, SIZES, SIZES, LAYOUTS, LAYOUTS, st.booleans(), st.integers(1, 4))
def test_it_is_the_product_of_float64_up_to_rounding(m, n, k, of_a, of_b, add, threads):
    a, b = matrix(m, k, of_a, 0), matrix(k, n, of_b, 1)
    onto = matrix(m, n, "by row", 2) if add else None
    found = product(a, b, onto=onto, threads=threads)
    A, B = a.astype(np.float64), b.astype(np.float64)
    exact, size = A @ B, abs(A) @ abs(B)
    if onto is not None:
        exact, size = exact + onto, size + abs(onto)
    assert np.all(abs(found - exact) <= (k + 2) * EPS * size)


def test_an_entry_is_one_sum_in_order_of_sums_of_256():
    a, b = matrix(3, 600, "by row", 0), matrix(600, 5, "by row", 1)
    in_order = [np.zeros((3, 5)) for _ in range(3)]
    for k in range(600):  # a fused multiply-add rounds once, and these products are exact in float64
        terms = np.outer(a[:, k].astype(np.float64), b[k].astype(np.float64))
        in_order[k // 256] = (in_order[k // 256] + terms).astype(np.float32).astype(np.float64)
    first, second, third = (x.astype(np.float32) for x in in_order)
    if _native.has_wide_vectors():  # others may not fuse
        assert np.array_equal(product(a, b), (first + second) + third)


@pytest.mark.parametrize("layout", ["by row", "by column"])
def test_the_bits_of_an_entry_are_those_of_its_row_and_column_alone(layout):
    a, b = matrix(700, 300, layout, 0), matrix(300, 1100, layout, 1)
    whole = product(a, b)
    rows, columns = np.random.default_rng(2).permutation(700), np.random.default_rng(3).permutation(1100)
    assert np.array_equal(product(a[rows], b), whole[rows])
    assert np.array_equal(product(a, b[:, columns]), whole[:, columns])
    assert np.array_equal(product(a[13:14], b), whole[13:14])
    assert np.array_equal(product(a[5:90], b[:, 77:80]), whole[5:90, 77:80])


@pytest.mark.parametrize("threads", [1, 3, 16, 100])
def test_the_bits_are_those_of_any_number_of_threads(threads):
    a, b = matrix(600, 300, "by row", 0), matrix(300, 1100, "by column", 1)
    assert np.array_equal(product(a, b, threads=threads), product(a, b))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row_and_column(value):
    a, b = matrix(20, 40, "by row", 0), matrix(40, 50, "by row", 1)
    clean = product(a, b)
    a[7, 3] = b[5, 11] = value
    found = product(a, b)
    assert not np.isfinite(found[7]).any()
    assert not np.isfinite(found[:, 11]).any()
    others = np.ix_(np.arange(20) != 7, np.arange(50) != 11)
    assert np.array_equal(found[others], clean[others])


def test_a_sum_of_nothing_is_zero():
    a, b = np.empty((3, 0), np.float32), np.empty((0, 4), np.float32)
    assert np.array_equal(product(a, b), np.zeros((3, 4)))
    assert np.array_equal(product(a, b, onto=np.ones((3, 4), np.float32)), np.ones((3, 4)))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_nothing_is_written_where_there_are_no_rows_or_columns(shape):
    assert product(np.ones((shape[0], 2), np.float32), np.ones((2, shape[1]), np.float32)).shape == shape
