"""Which rows of a mask have a class in them, in every layout that the kernels read."""

import numpy as np
import pytest

from crossentropy._statistics.cpu.kernel import rows_with_any
from crossentropy._statistics.cpu.memory import NumpyMemory

LAYOUTS = {
    "rows": ((130, 70), 1),
    "one row": ((70,), 0),
    "long rows": ((5, 9001), 1),
    "NCHW": ((3, 21, 9, 17), 1),
    "class axis first": ((33, 130), 0),
    "no rows": ((0, 7), 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 1.0])
def test_a_row_is_found_to_have_any_where_one_of_its_classes_is_true(share, layout):
    shape, axis = LAYOUTS[layout]
    mask = np.random.default_rng(0).random(shape) < share
    np.testing.assert_array_equal(rows_with_any(NumpyMemory, mask, axis), mask.any(axis=axis))


@pytest.mark.parametrize("place", [0, 63, 64, 127, 128, 199])
def test_the_only_class_of_a_row_is_found_wherever_it_lies(place):
    mask = np.zeros((3, 200), dtype=bool)
    mask[1, place] = True
    for view, axis in ((mask, 1), (np.asfortranarray(mask), 1), (mask.T, 0), (mask[:, ::-1], 1)):
        np.testing.assert_array_equal(rows_with_any(NumpyMemory, view, axis), [False, True, False])


def test_one_mask_expanded_over_the_rows_is_read_where_it_is():
    mask = np.broadcast_to(np.array([False, True]), (4, 2))
    assert rows_with_any(NumpyMemory, mask, 1).all()
