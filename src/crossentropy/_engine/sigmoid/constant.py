"""The constant log-odds from which a model of yes-or-no questions starts."""

from typing import Any

import numpy as np

__all__ = ["constant_log_odds"]

LEAST_SHARE = 1e-15  # of an answer that is never given, whose log-odds would be infinite


def constant_log_odds(
    labels: np.ndarray,
    *,
    sample_weight: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    pos_weight: Any = 1.0,
) -> np.ndarray:
    """Compute the log-odds of each question that minimize the weighted cross-entropy among those of all rows alike.

    The labels have the shape (rows,) or (rows, C), the weights that of the rows.

    >>> float(constant_log_odds(np.asarray([0, 1, 1, 1])).round(4))
    1.0986
    """
    yes = np.average(labels, axis=0, weights=sample_weight)
    yes = (1 - label_smoothing) * yes + label_smoothing / 2
    masses = np.maximum(
        np.stack([yes * np.asarray(1.0 if pos_weight is None else pos_weight), 1 - yes]), LEAST_SHARE
    )
    return np.log(masses[0]) - np.log(masses[1])
