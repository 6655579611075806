"""How far the libraries may be apart: four units in the last place of an array's largest entry.

The entries of a gradient that nearly cancel, as the rows of a softmax add up to 0, have fewer right digits in any
library.
"""

from __future__ import annotations

import numpy as np

from ulps import unit

ULPS = 4


def assert_agreement(found: np.ndarray, other: np.ndarray) -> None:
    """Two libraries' values, or gradients by one argument, are equal to four ulp."""
    assert found.shape == other.shape
    largest = np.max(np.abs(other), initial=0.0)
    assert np.max(np.abs(found - other), initial=0.0) <= ULPS * unit(largest, "float64")
