"""Truths of what cross-entropy is compared with: squares and hinges."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, SOFT, Case, logits


def brier(logits, labels):
    """Brier 1950: Σ_c (p_c − t_c)²."""
    return np.sum((plain.softmax(logits, axis=-1) - plain.masses(labels, logits.shape[-1])) ** 2, axis=-1)


def crammer_singer(logits, labels, margin=1.0, kind="crammer-singer"):
    """max(0, m + max_{j ≠ y} z_j − z_y)."""
    at = plain.rows_of(labels)
    others = logits.copy()
    others[at] = -np.inf
    return np.maximum(0.0, margin + others.max(axis=-1) - logits[at])


def weston_watkins(logits, labels, margin=1.0, kind="weston-watkins"):
    """Σ_{j ≠ y} max(0, m + z_j − z_y)."""
    hot = plain.one_hot(labels, logits.shape[-1])
    return np.sum((1 - hot) * np.maximum(0.0, margin + logits - np.sum(logits * hot, -1, keepdims=True)), -1)


_SETTINGS = {"shift_invariant": True, "options": True}
CASES = [
    Case(
        "brier_loss", {"logits": logits(70)}, brier, given={"labels": LABELS}, extreme="softmax", **_SETTINGS
    ),
    Case(
        "brier_loss",
        {"logits": logits(74)},
        brier,
        parameters={"labels": SOFT},
        variant="soft",
        shift_invariant=True,
        twice=False,
    ),
    Case(
        "hinge_loss",
        {"logits": logits(71)},
        crammer_singer,
        given={"labels": LABELS},
        **_SETTINGS,
        twice=False,
    ),
    Case(
        "hinge_loss",
        {"logits": logits(72)},
        crammer_singer,
        given={"labels": LABELS, "kind": "crammer-singer", "margin": 2.5},
        variant="wide",
        **_SETTINGS,
        twice=False,
    ),
    Case(
        "hinge_loss",
        {"logits": logits(73)},
        weston_watkins,
        given={"labels": LABELS, "kind": "weston-watkins"},
        variant="weston-watkins",
        **_SETTINGS,
        twice=False,
    ),
]
HELPERS: list = []
