"""How far the libraries may be apart: four units in the last place of an array's largest entry.

The entries of a gradient that nearly cancel, as the rows of a softmax add up to 0, have fewer right digits in any
library. `TERMS` are the losses whose gradients are differences of larger terms, and how much larger these are here.
"""

from __future__ import annotations

import numpy as np

from ulps import unit

ULPS = 4
TERMS = {
    "bi_tempered_loss-light tail": 4,
    "brier_loss": 16,  # p_c (g_c − Σ p g), where p_c is nearly 1
    "clip_loss": 4,  # products with embeddings, divided by a temperature
    "distillation_loss-reverse": 2,  # T² p_c (ln p_c/q_c − KL)
    "info_nce": 16,
    "supervised_contrastive": 16,
}


def assert_agreement(case: str, found: np.ndarray, other: np.ndarray) -> None:
    """Two libraries' values, or gradients by one argument, are equal to four ulp."""
    assert found.shape == other.shape
    largest = np.max(np.abs(other), initial=0.0)
    assert np.max(np.abs(found - other), initial=0.0) <= ULPS * TERMS.get(case, 1) * unit(largest, "float64")
