"""Truths of the losses for classes of unequal size, and of the weights and margins made of counts."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, ROWS, Case, Helper, logits

COUNTS = np.array([500.0, 40.0, 8.0, 120.0])
COSINES = 0.9 * np.tanh(logits(40))
BEYOND = np.array(
    [
        [0.2, 0.1, -0.98, 0.3],
        [-0.9, 0.5, 0.1, 0.0],
        [0.0, 0.2, 0.4, 0.9],
        [0.9, -0.2, 0.3, 0.1],
        [0.5, 0, 0.1, 0.2],
    ]
)


def balanced_weights(counts):
    """n / (C n_c)."""
    return np.sum(counts) / (len(counts) * counts)


def class_balanced_weights(counts, rebalancing=0.999):
    """Cui et al., CVPR 2019: (1 − β)/(1 − β^n), with mean 1."""
    weights = (1 - rebalancing) / -np.expm1(counts * np.log(rebalancing))
    return weights * len(counts) / np.sum(weights)


def logit_adjustment(counts, tau=1.0):
    """Menon et al., ICLR 2021: τ log π."""
    return tau * np.log(counts / np.sum(counts))


def margins(counts, largest=0.5):
    """Cao et al., NeurIPS 2019: m_c ∝ n_c^{−1/4}, the largest as given."""
    m = counts**-0.25
    return m * largest / np.max(m)


def balanced_softmax(logits, labels, counts):
    """Ren et al., NeurIPS 2020: p ∝ n_c e^{z_c}."""
    return -plain.chosen(logits + np.log(counts), labels)


def ldam(logits, labels, counts, largest=0.5, scale=30.0):
    hot = plain.one_hot(labels, logits.shape[-1])
    return -plain.chosen(scale * (logits - margins(counts, largest) * hot), labels)


def cosface(cosines, labels, margin=0.35, scale=64.0):
    return -plain.chosen(scale * (cosines - margin * plain.one_hot(labels, cosines.shape[-1])), labels)


def arcface(cosines, labels, margin=0.5, scale=64.0):
    """cos(θ + m) for the label's cos θ; past π − m its continuation, cos θ − m sin m."""
    at = plain.rows_of(labels)
    theta = np.arccos(cosines[at])
    changed = cosines.copy()
    changed[at] = np.where(
        theta <= np.pi - margin, np.cos(theta + margin), cosines[at] - margin * np.sin(margin)
    )
    return -plain.chosen(scale * changed, labels)


def hard_examples(keep):
    """Shrivastava et al., CVPR 2016: the mean of the `keep` largest."""
    return lambda logits, labels, **_: np.mean(np.sort(-plain.chosen(logits, labels))[-keep:])


_SOFTMAX = {"options": True, "extreme": "softmax"}

CASES = [
    Case(
        "balanced_softmax_loss",
        {"logits": logits(41)},
        balanced_softmax,
        given={"labels": LABELS, "counts": COUNTS},
        shift_invariant=True,
        **_SOFTMAX,
    ),
    Case(
        "ldam_loss",
        {"logits": COSINES},
        ldam,
        given={"labels": LABELS, "counts": COUNTS},
        **(_SOFTMAX | {"extreme": "cosine"}),
    ),
    Case(
        "ldam_loss",
        {"logits": COSINES},
        ldam,
        given={"labels": LABELS, "counts": COUNTS, "largest": 0.3, "scale": 4.0},
        variant="mild",
        shift_invariant=True,
        **(_SOFTMAX | {"extreme": "cosine"}),
    ),
    Case(
        "cosface_loss",
        {"cosines": COSINES},
        cosface,
        given={"labels": LABELS},
        **(_SOFTMAX | {"extreme": "cosine"}),
    ),
    Case(
        "cosface_loss",
        {"cosines": COSINES},
        cosface,
        given={"labels": LABELS, "margin": 0.2, "scale": 5.0},
        variant="mild",
        **(_SOFTMAX | {"extreme": "cosine"}),
    ),
    Case(
        "arcface_loss",
        {"cosines": COSINES},
        arcface,
        given={"labels": LABELS},
        extreme="cosine",
        options=True,
        step=1e-4,
        digits=1e-11,
    ),
    Case(
        "arcface_loss",
        {"cosines": BEYOND},
        arcface,
        given={"labels": LABELS, "margin": 0.7, "scale": 5.0},
        variant="past the turn",
        extreme="cosine",
        options=True,
        step=1e-4,
        digits=1e-11,
    ),
    Case(
        "hard_example_loss",
        {"logits": logits(42)},
        hard_examples(2),
        given={"labels": LABELS, "keep": 2},
        rows=False,
        shift_invariant=True,
    ),
    Case(
        "hard_example_loss",
        {"logits": logits(43)},
        hard_examples(3),
        given={"labels": LABELS, "keep": 3 / ROWS},
        variant="share",
        rows=False,
        shift_invariant=True,
    ),
]

HELPERS = [
    Helper("balanced_weights", (COUNTS,), balanced_weights),
    Helper("class_balanced_weights", (COUNTS,), class_balanced_weights),
    Helper(
        "class_balanced_weights",
        (COUNTS * 1e4,),
        class_balanced_weights,
        options={"rebalancing": 0.9999},
        variant="many",
    ),
    Helper("logit_adjustment", (COUNTS,), logit_adjustment),
    Helper("logit_adjustment", (COUNTS,), logit_adjustment, options={"tau": 0.5}, variant="half"),
    Helper("ldam_margins", (COUNTS,), margins),
    Helper("ldam_margins", (COUNTS,), margins, options={"largest": 0.3}, variant="smaller"),
]
