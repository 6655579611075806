"""Truths of the losses for classes in an order."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, Case, Helper, logits

IMPORTANCE = np.array([1.0, 0.5, 2.0])


def levels(labels, tasks=3):
    """Whether a label is above each of the C − 1 thresholds."""
    return (np.asarray(labels)[:, None] > np.arange(tasks)).astype(float)


def coral(logits, labels, importance=None):
    """Cao, Mirjalili & Raschka 2020: Σ_k λ_k BCE(z_k, [y > k])."""
    return np.sum((1.0 if importance is None else importance) * plain.bce(logits, levels(labels)), axis=-1)


def corn_tasks(labels):
    """Task k is asked of the rows with y > k − 1 alone."""
    return (np.asarray(labels)[:, None] > np.arange(3) - 1).astype(float)


def corn(logits, labels, importance=None):
    """Shi, Cao & Raschka 2021: the tasks that are asked of a row, each a BCE of [y > k]."""
    importance = 1.0 if importance is None else importance
    return np.sum(importance * corn_tasks(labels) * plain.bce(logits, levels(labels)), axis=-1)


def corn_mean(losses, weights):
    """coral-pytorch's: over every question that was asked."""
    return np.sum(weights * losses) / np.sum(weights * corn_tasks(LABELS).sum(axis=-1))


def exceedance_to_classes(above):
    """P(y = k) = P(y > k − 1) − P(y > k)."""
    one, zero = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return np.concatenate([one, above], axis=1) - np.concatenate([above, zero], axis=1)


ORDERED = -np.sort(-logits(90, (5, 3)), axis=-1)  # CORAL's logits fall: they differ by their biases alone

CASES = [
    Case(
        "coral_loss",
        {"logits": ORDERED},
        coral,
        given={"labels": LABELS},
        extreme="sigmoid",
    ),
    Case(
        "coral_loss",
        {"logits": logits(91, (5, 3))},
        coral,
        given={"labels": LABELS, "importance": IMPORTANCE},
        variant="importance",
        extreme="sigmoid",
    ),
    Case(
        "corn_loss",
        {"logits": logits(92, (5, 3))},
        corn,
        given={"labels": LABELS},
        mean=corn_mean,
        extreme="sigmoid",
    ),
    Case(
        "corn_loss",
        {"logits": logits(94, (5, 3))},
        corn,
        given={"labels": LABELS, "importance": IMPORTANCE},
        variant="importance",
        mean=corn_mean,
        extreme="sigmoid",
    ),
]
HELPERS = [
    Helper("coral_probabilities", (ORDERED,), lambda z: exceedance_to_classes(plain.expit(z))),
    Helper(
        "corn_probabilities",
        (logits(93, (5, 3)),),
        lambda z: exceedance_to_classes(np.cumprod(plain.expit(z), axis=-1)),
    ),
]
