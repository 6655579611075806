"""Predictions whose calibration is known."""

import numpy as np


def drawn(seed, n, classes, temperature=1.0):
    """Logits, and labels drawn from the softmax of logits divided by the temperature."""
    r = np.random.default_rng(seed)
    z = 1.5 * r.normal(size=(n, classes))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < r.random((n, 1))).sum(axis=1).clip(0, classes - 1)
    return temperature * z, y


def saturated(n=1200):
    """Probabilities of which half are exactly 0 or 1, some of them wrong, with many ties; and labels."""
    r = np.random.default_rng(1)
    p = np.repeat([0.0, 1.0, 0.25, 0.75], n // 4)
    y = (r.random(n) < np.repeat([0.02, 0.97, 0.3, 0.8], n // 4)).astype(int)
    return p, y
