"""Truths of the robust and focusing losses: functions of log p, and those that look at the whole row."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, SOFT, Case, logits


def focal(logits, labels, gamma=2.0):
    return -np.exp(gamma * plain.log_other(logits, labels)) * plain.chosen(logits, labels)


def poly(logits, labels, epsilon=1.0):
    rest = np.exp(plain.log_other(logits, labels))
    terms = [epsilon] if np.ndim(epsilon) == 0 else epsilon
    return -plain.chosen(logits, labels) + sum(e * rest**j for j, e in enumerate(terms, start=1))


def generalized(logits, labels, q=0.7, truncation=None):
    p = np.exp(plain.chosen(logits, labels))
    loss = (1 - p**q) / q
    return loss if truncation is None else np.where(p <= truncation, (1 - truncation**q) / q, loss)


def symmetric(logits, labels, forward_weight=0.1, reverse_weight=1.0, log_zero=-4.0):
    """α·CE + β·RCE with RCE = −Σ_c p_c log t_c, log 0 := A and log 1 = 0."""
    p, hot = plain.softmax(logits, axis=-1), plain.one_hot(labels, logits.shape[-1])
    reverse = -np.sum(p * np.where(hot == 1, 0.0, log_zero), axis=-1)
    return -forward_weight * plain.chosen(logits, labels) + reverse_weight * reverse


def taylor(logits, labels, order=2):
    rest = np.exp(plain.log_other(logits, labels))
    return sum(rest**j / j for j in range(1, order + 1))


def huberized(logits, labels, tau=10.0):
    p = np.exp(plain.chosen(logits, labels))
    return np.where(p <= 1 / tau, np.log(tau) + 1 - tau * p, -plain.chosen(logits, labels))


def absolute(logits, labels):
    """Σ_c |p_c − t_c|."""
    return np.sum(np.abs(plain.softmax(logits, axis=-1) - plain.one_hot(labels, logits.shape[-1])), axis=-1)


def tsallis(logits, labels, t=0.3):
    p = np.exp(plain.chosen(logits, labels))
    return -(p ** (1 - t) - 1) / (1 - t)


def unlikelihood(logits, labels):
    return -plain.log_other(logits, labels)


def normalized(logits, labels):
    """Ma et al., ICML 2020: the label's cross-entropy as a share of that against every class.

    A class of no probability makes the share 0, and as a label 1.
    """
    every = np.sum(-plain.log_softmax(logits, axis=-1), axis=-1)
    own = -plain.chosen(logits, labels)
    share = own / np.where(np.isinf(every), 1.0, every)
    return np.where(np.isinf(every), np.where(np.isinf(own), 1.0, 0.0), share)


def normalized_soft(logits, labels):
    """Of soft targets the numerator is their cross-entropy."""
    cost = -plain.log_softmax(logits, axis=-1)
    return np.sum(labels * cost, axis=-1) / np.sum(cost, axis=-1)


def active_passive(logits, labels, active_weight=1.0, passive_weight=1.0):
    """Ma et al., ICML 2020: α·NCE + β·MAE, with MAE = Σ_c |p_c − t_c|."""
    return active_weight * normalized(logits, labels) + passive_weight * absolute(logits, labels)


def log_t(x, t):
    return np.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    if t == 1:
        return np.exp(x)
    return np.maximum(1 + (1 - t) * x, 0) ** (1 / (1 - np.longdouble(t)))


def tempered_softmax(z, t):
    """exp_t(z − λ) with the λ at which it sums to one, by bisection in the widest type at hand."""
    z = np.asarray(z, dtype=np.longdouble)
    classes = z.shape[-1]
    low = z.max(axis=-1, keepdims=True)  # the largest probability is at most 1 …
    high = low - log_t(np.longdouble(1) / classes, t)  # … and at least 1/C
    for _ in range(90):
        middle = (low + high) / 2
        above = exp_t(z - middle, t).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return exp_t(z - (low + high) / 2, t)


def bi_tempered(logits, labels, t1=0.8, t2=1.2, label_smoothing=0.0, iterations=None):
    """Amid et al., NeurIPS 2019; smoothing moves ε from the label to the C − 1 others."""
    classes = logits.shape[-1]
    hot = plain.masses(labels, classes).astype(np.longdouble)
    q = (1 - label_smoothing) * hot + label_smoothing / (classes - 1) * (1 - hot)
    p = tempered_softmax(logits, t2)
    with np.errstate(all="ignore"):
        entropy = np.where(q > 0, q * (log_t(np.where(q > 0, q, 1), t1) - log_t(p, t1)), 0)
    rest = (q ** (2 - np.longdouble(t1)) - p ** (2 - np.longdouble(t1))) / (2 - np.longdouble(t1))
    return np.sum(entropy - rest, axis=-1).astype(np.float64)


def _case(name, truth, seed, variant="", **more):
    options = more.pop("given", {})
    settings = {"options": True, "shift_invariant": True, "extreme": "softmax"} | more
    return Case(
        name,
        {"logits": logits(seed)},
        truth,
        given={"labels": LABELS, **options},
        variant=variant,
        **settings,
    )


CASES = [
    _case("focal_loss", focal, 10),
    _case("focal_loss", focal, 11, "half", given={"gamma": 0.5}),
    _case("poly_loss", poly, 12),
    _case("poly_loss", poly, 13, "negative", given={"epsilon": -1.0}),
    _case("poly_loss", poly, 14, "three terms", given={"epsilon": (0.5, -0.25, 2.0)}),
    _case("generalized_cross_entropy", generalized, 15),
    _case("generalized_cross_entropy", generalized, 16, "truncated", given={"q": 0.5, "truncation": 0.4}),
    _case("symmetric_cross_entropy", symmetric, 17),
    _case(
        "symmetric_cross_entropy",
        symmetric,
        18,
        "other",
        given={"forward_weight": 6.0, "reverse_weight": 0.1, "log_zero": -9.21},
    ),
    _case("taylor_cross_entropy", taylor, 19),
    _case("taylor_cross_entropy", taylor, 20, "six", given={"order": 6}),
    _case("partially_huberized_cross_entropy", huberized, 21),
    _case("partially_huberized_cross_entropy", huberized, 22, "two", given={"tau": 2.0}),
    _case("mean_absolute_error_loss", absolute, 23),
    _case("tsallis_loss", tsallis, 24),
    _case("tsallis_loss", tsallis, 25, "beyond one", given={"t": 1.5}),
    _case("unlikelihood_loss", unlikelihood, 26),
    _case("normalized_cross_entropy", normalized, 27, options=False),
    _case("active_passive_loss", active_passive, 28, options=False),
    _case(
        "active_passive_loss",
        active_passive,
        29,
        "weighted",
        options=False,
        given={"active_weight": 10.0, "passive_weight": 0.1},
    ),
    _case("bi_tempered_loss", bi_tempered, 30, options=False),
    _case(
        "bi_tempered_loss",
        bi_tempered,
        33,
        "soft",
        options=False,
        extreme="",
        given={"labels": SOFT, "t1": 0.5, "t2": 1.5},
    ),
    _case(
        "normalized_cross_entropy",
        normalized_soft,
        34,
        "soft",
        options=False,
        extreme="",
        given={"labels": SOFT},
    ),
    _case(
        "bi_tempered_loss",
        bi_tempered,
        31,
        "light tail",
        options=False,
        given={"t1": 0.5, "t2": 0.7},
    ),
    _case(
        "bi_tempered_loss",
        bi_tempered,
        32,
        "smoothed",
        options=False,
        given={"t1": 0.6, "t2": 1.5, "label_smoothing": 0.1},
    ),
]
HELPERS: list = []
