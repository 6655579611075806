"""Truths of the two losses that everything else is composed of, and of the scores from probabilities."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, SOFT, Case, Helper, logits

CLASS_WEIGHT = np.array([0.5, 2.0, 1.25, 0.75])
PRIOR = np.array([0.1, 0.2, 0.3, 0.4])
MULTI = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]])


def cross_entropy(logits, labels):
    return -plain.chosen(logits, labels)


def smoothed(logits, labels, label_smoothing, smoothing_prior):
    q = (1 - label_smoothing) * plain.one_hot(labels, 4) + label_smoothing * smoothing_prior
    return -np.sum(q * plain.log_softmax(logits, axis=-1), axis=-1)


def soft(logits, labels):
    log_p = plain.log_softmax(logits, axis=-1)
    return -np.sum(np.where(labels > 0, labels * np.where(labels > 0, log_p, 0.0), 0.0), axis=-1)


def transformed(logits, labels, temperature, softcap, logit_bias, margin):
    hot = plain.one_hot(labels, 4)
    u = (softcap * np.tanh(logits / softcap) - margin * hot) / np.reshape(temperature, (-1, 1)) + logit_bias
    return -plain.chosen(u, labels)


def regularized(logits, labels, z_loss, entropy_bonus):
    L = plain.logsumexp(logits, axis=-1)
    return -plain.chosen(logits, labels) + z_loss * L**2 - entropy_bonus * plain.entropy(logits)


def binary(logits, labels):
    return plain.bce(logits, labels)


def binary_weighted(logits, labels, pos_weight, class_weight, label_smoothing):
    q = (1 - label_smoothing) * labels + label_smoothing / 2
    yes, no = plain.bce(logits, np.ones_like(q)), plain.bce(logits, np.zeros_like(q))
    return class_weight * (pos_weight * q * yes + (1 - q) * no)


def from_probabilities(probabilities, labels):
    return -np.log(probabilities[plain.rows_of(labels)])


def from_probabilities_of_soft(probabilities, labels):
    return -np.sum(labels * np.log(probabilities), axis=-1)


def from_binary_probabilities(probabilities, labels):
    return -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities))


def element_weights(class_weight):
    """A mean over elements that weigh what their question does."""
    return lambda losses, weights: np.sum(weights * losses) / np.sum(weights * class_weight)


CASES = [
    Case(
        "softmax_cross_entropy",
        {"logits": logits()},
        cross_entropy,
        given={"labels": LABELS},
        options=True,
        shift_invariant=True,
        extreme="softmax",
    ),
    Case(
        "softmax_cross_entropy",
        {"logits": logits(1)},
        smoothed,
        given={"labels": LABELS, "label_smoothing": 0.2, "smoothing_prior": PRIOR},
        variant="smoothed",
        shift_invariant=True,
    ),
    Case(
        "softmax_cross_entropy",
        {"logits": logits(2)},
        soft,
        parameters={"labels": SOFT},
        variant="soft",
        shift_invariant=True,
        twice=False,
    ),
    Case(
        "softmax_cross_entropy",
        {"logits": logits(3)},
        transformed,
        given={"labels": LABELS, "softcap": 5.0},
        parameters={
            "temperature": np.array([0.5, 1.0, 2.0, 1.5, 0.75]),
            "logit_bias": np.array([0.5, -0.25, 0.0, 1.0]),
            "margin": np.array([0.5, 0.25, 0.0, 1.0]),
        },
        variant="transformed",
    ),
    Case(
        "softmax_cross_entropy",
        {"logits": logits(4)},
        regularized,
        given={"labels": LABELS, "z_loss": 0.03, "entropy_bonus": 0.2},
        variant="regularized",
        options=False,
    ),
    Case(
        "sigmoid_cross_entropy",
        {"logits": logits(5)},
        binary,
        given={"labels": MULTI},
        extreme="sigmoid",
    ),
    Case(
        "sigmoid_cross_entropy",
        {"logits": logits(6)},
        binary_weighted,
        given={
            "labels": MULTI,
            "pos_weight": np.array([3.0, 1.0, 0.5, 2.0]),
            "class_weight": CLASS_WEIGHT,
            "label_smoothing": 0.1,
        },
        variant="weighted",
        mean=element_weights(CLASS_WEIGHT),
    ),
    Case(
        "log_loss",
        {"probabilities": SOFT},
        from_probabilities,
        given={"labels": LABELS},
        twice=False,
    ),
    Case(
        "log_loss",
        {"probabilities": SOFT},
        from_probabilities_of_soft,
        given={"labels": SOFT[::-1].copy()},
        variant="soft",
        twice=False,
        step=1e-5,
    ),
    Case(
        "log_loss",
        {"probabilities": SOFT},
        lambda probabilities, labels, classes: from_probabilities(
            probabilities, np.where(labels < 9, labels, 0)
        ),
        given={"labels": np.where(LABELS == 0, 9, LABELS), "classes": [9, 1, 2, 3]},
        variant="classes",
        libraries=("torch", "jax", "array_api_strict"),  # NumPy's labels may then be anything
        twice=False,
    ),
    Case(
        "binary_log_loss",
        {"probabilities": SOFT},
        from_binary_probabilities,
        given={"labels": MULTI},
        step=1e-5,
    ),
]


def target_log_odds(logits, labels):
    return plain.chosen(logits, labels) - plain.log_other(logits, labels)


HELPERS = [
    Helper(
        "target_statistics",
        (logits(7), LABELS),
        {
            "log_prob": plain.chosen,
            "prob": lambda z, y: np.exp(plain.chosen(z, y)),
            "log_odds": target_log_odds,
            "logsumexp": lambda z, y: plain.logsumexp(z, axis=-1),
            "entropy": lambda z, y: plain.entropy(z),
            "argmax": lambda z, y: np.argmax(z, axis=-1),
            "rank": lambda z, y: np.sum(z > z[plain.rows_of(y)][:, None], axis=-1),
        },
        options={"entropy": True, "rank": True},
    ),
]
