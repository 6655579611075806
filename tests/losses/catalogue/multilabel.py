"""Truths of the losses of several yes-or-no answers a row."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import Case, logits

MULTI = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]])
COUNTS = np.array([500.0, 40.0, 8.0, 120.0])


def asymmetric(logits, labels, gamma_positive=0.0, gamma_negative=4.0, negative_shift=0.05):
    """Ridnik et al., ICCV 2021: −(1 − p)^γ₊ log p, and −p_m^γ₋ log(1 − p_m) with p_m = max(p − m, 0)."""
    p = plain.expit(logits)
    yes = -np.exp(gamma_positive * plain.log_expit(-logits)) * plain.log_expit(logits)
    if negative_shift == 0:
        no = -np.exp(gamma_negative * plain.log_expit(logits)) * plain.log_expit(-logits)
    else:
        shifted = np.maximum(p - negative_shift, 0)
        no = -(shifted**gamma_negative) * np.log1p(-shifted)
    return np.where(labels == 1, yes, no)


def sigmoid_focal(logits, labels, alpha=0.25, gamma=2.0):
    """Lin et al., ICCV 2017: −α_t (1 − p_t)^γ log p_t."""
    z = np.where(labels == 1, logits, -logits)  # the log-odds of the truth
    loss = -np.exp(gamma * plain.log_expit(-z)) * plain.log_expit(z)
    return loss if alpha is None or alpha < 0 else np.where(labels == 1, alpha, 1 - alpha) * loss


def zlpr(logits, labels):
    """Su et al. 2022: log(1 + Σ_neg e^z) + log(1 + Σ_pos e^{−z})."""
    zero = np.zeros((len(logits), 1))
    no = np.where(labels == 1, -np.inf, logits)
    yes = np.where(labels == 1, -logits, -np.inf)
    return sum(plain.logsumexp(np.concatenate([zero, part], axis=-1), axis=-1) for part in (no, yes))


def distribution_balanced(
    logits,
    labels,
    counts,
    total,
    offset=0.1,
    slope=10.0,
    midpoint=0.2,
    kappa=0.05,
    negative_scale=2.0,
    gamma=2.0,
):
    """Wu et al., ECCV 2020: re-balanced weights, a bias and a tolerance for negatives, under a focal loss."""
    share = (1 / counts) / np.sum(labels / counts, axis=-1, keepdims=True)
    weight = offset + plain.expit(slope * (share - midpoint))
    z = logits - kappa * np.log(total / counts - 1) / negative_scale
    z = np.where(labels == 1, z, negative_scale * z)
    weight = np.where(labels == 1, weight, weight / negative_scale)
    signed = np.where(labels == 1, z, -z)
    return 2 * weight * np.exp(gamma * plain.log_expit(-signed)) * -plain.log_expit(signed)


_SIGMOID = {"extreme": "sigmoid"}
CASES = [
    Case("asymmetric_loss", {"logits": logits(80)}, asymmetric, given={"labels": MULTI}, **_SIGMOID),
    Case(
        "asymmetric_loss",
        {"logits": logits(81)},
        asymmetric,
        given={"labels": MULTI, "gamma_positive": 1.0, "gamma_negative": 2.0, "negative_shift": 0.0},
        variant="unshifted",
        **_SIGMOID,
    ),
    Case("sigmoid_focal_loss", {"logits": logits(82)}, sigmoid_focal, given={"labels": MULTI}, **_SIGMOID),
    Case(
        "sigmoid_focal_loss",
        {"logits": logits(83)},
        sigmoid_focal,
        given={"labels": MULTI, "alpha": None, "gamma": 1.5},
        variant="no alpha",
        **_SIGMOID,
    ),
    Case(
        "sigmoid_focal_loss",
        {"logits": logits(84)},
        sigmoid_focal,
        given={"labels": MULTI, "alpha": -1},
        variant="torchvision's no alpha",
        **_SIGMOID,
    ),
    Case("zlpr_loss", {"logits": logits(85)}, zlpr, given={"labels": MULTI}, extreme="sigmoid"),
    Case(
        "distribution_balanced_loss",
        {"logits": logits(86)},
        distribution_balanced,
        given={"labels": MULTI, "counts": COUNTS, "total": 1000.0},
        extreme="sigmoid",
    ),
    Case(
        "distribution_balanced_loss",
        {"logits": logits(87)},
        distribution_balanced,
        given={
            "labels": MULTI,
            "counts": COUNTS,
            "total": 800.0,
            "offset": 0.2,
            "slope": 3.0,
            "midpoint": 0.3,
            "kappa": 0.1,
            "negative_scale": 5.0,
            "gamma": 1.0,
        },
        variant="other",
        extreme="sigmoid",
    ),
]
HELPERS: list = []
