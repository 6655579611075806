"""The constant logits from which a model of many classes starts."""

from typing import Any

import numpy as np

__all__ = ["constant_logits"]

LEAST_SHARE = 1e-15  # of a class without mass, whose logit would be −∞


def constant_logits(
    labels: np.ndarray,
    classes: int,
    *,
    sample_weight: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    smoothing_prior: Any = None,
    class_weight: Any = None,
    temperature: float = 1.0,
    logit_bias: Any = None,
) -> np.ndarray:
    """Compute the logits (C,) that minimize the weighted cross-entropy among those that are the same in every row.

    They are ``T (ln s − b)`` for the shares ``s`` of the classes in all of the mass ``Σ ω w_c q_c``.

    >>> constant_logits(np.asarray([0, 1, 1, 1]), 2).round(4)
    array([-1.3863, -0.2877])
    """
    counts = np.bincount(labels, weights=sample_weight, minlength=classes).astype(np.float64)
    prior = np.full(classes, 1 / classes) if smoothing_prior is None else np.asarray(smoothing_prior)
    masses = (1 - label_smoothing) * counts + label_smoothing * prior * counts.sum()
    masses = masses if class_weight is None else masses * np.asarray(class_weight)
    logits = np.log(np.maximum(masses / masses.sum(), LEAST_SHARE))
    return temperature * (logits if logit_bias is None else logits - np.asarray(logit_bias))
