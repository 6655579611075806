"""Truths of the losses over similarities, one anchor at a time."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import Case, logits

GROUPS = np.array([0, 1, 0, 2, 1])  # one anchor (label 2) has no positive


def unit(x):
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))


def info_nce(queries, keys, temperature=0.1, negatives=None):
    """van den Oord et al. 2018: each query's own key among all keys, or among it and the negatives."""
    q, k = unit(queries), unit(keys)
    losses = []
    for i in range(len(q)):
        if negatives is None:
            scores = [q[i] @ k[j] / temperature for j in range(len(k))]
            own = i
        else:
            scores = [q[i] @ k[i] / temperature] + [q[i] @ n / temperature for n in unit(negatives)]
            own = 0
        losses.append(-plain.log_softmax(np.array(scores))[own])
    return np.array(losses)


def nt_xent(first, second, temperature=0.5):
    """Chen et al., ICML 2020: 2N anchors, each one's other view against everything but itself."""
    z = unit(np.concatenate([first, second]))
    n = len(first)
    losses = []
    for i in range(2 * n):
        others = [k for k in range(2 * n) if k != i]
        scores = np.array([z[i] @ z[k] / temperature for k in others])
        losses.append(-plain.log_softmax(scores)[others.index((i + n) % (2 * n))])
    return np.array(losses)


def supervised(features, labels, temperature=0.1, variant="out", base_temperature=None, denominator="all"):
    """Khosla et al., NeurIPS 2020; an anchor without a positive is left out of the mean.

    With a denominator of "negatives" a positive stands among the negatives alone, as in optax's ntxent.
    """
    z = unit(features)
    losses, counted = [], []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        scores = np.array([z[i] @ z[a] / temperature for a in others])
        same = np.array([labels[a] == labels[i] for a in others])
        if denominator == "negatives":
            log_p = np.array([s - plain.logsumexp(np.append(scores[~same], s)) for s in scores])
        else:
            log_p = plain.log_softmax(scores)
        positive = log_p[same].tolist()
        counted.append(bool(positive))
        if not positive:
            losses.append(0.0)
        elif variant == "out":
            losses.append(-np.mean(positive))
        else:
            losses.append(-plain.logsumexp(positive) + np.log(len(positive)))
    scale = 1.0 if base_temperature is None else temperature / base_temperature
    return scale * np.array(losses), np.array(counted)


def supervised_rows(**values):
    return supervised(**values)[0]


def supervised_mean(losses, weights):
    counted = np.array([np.sum(group == GROUPS) > 1 for group in GROUPS])
    return np.sum(weights * losses) / np.sum(weights * counted)


def nt_xent_of_groups(first, second, labels, temperature=0.5, denominator="all"):
    """Several examples of one label: the supervised loss of all views."""
    views, twice = np.concatenate([first, second]), np.concatenate([labels, labels])
    return supervised(views, twice, temperature, denominator=denominator)[0]


def clip(image, text, scale):
    """Radford et al. 2021: half of the cross-entropy of its row, half of that of its column."""
    scores = scale * unit(image) @ unit(text).T
    own = np.arange(len(scores))
    return -(plain.chosen(scores, own) + plain.chosen(scores.T, own)) / 2


def siglip(image, text, scale, bias):
    """Zhai et al., ICCV 2023: −Σ_j log σ(y_ij (t x_i·y_j + b)), of which the mean over i is the paper's."""
    scores = scale * unit(image) @ unit(text).T + bias
    sign = 2 * np.eye(len(scores)) - 1
    return -np.sum(plain.log_expit(sign * scores), axis=1)


A, B = logits(100, (5, 3)), logits(101, (5, 3))
NEGATIVES = logits(102, (4, 3))

CASES = [
    Case("info_nce", {"queries": A, "keys": B}, info_nce, independent_rows=False),
    Case(
        "info_nce",
        {"queries": A, "keys": B},
        info_nce,
        parameters={"negatives": NEGATIVES, "temperature": np.array(0.5)},
        variant="negatives",
        independent_rows=False,
    ),
    Case("nt_xent", {"first": A, "second": B}, nt_xent, independent_rows=False),
    *(
        Case(
            "nt_xent",
            {"first": A, "second": B},
            nt_xent_of_groups,
            given={"labels": GROUPS, "denominator": denominator, "temperature": 0.3},
            variant=f"groups, {denominator}",
            independent_rows=False,
        )
        for denominator in ("all", "negatives")
    ),
    *(
        Case(
            "supervised_contrastive",
            {"features": A},
            supervised_rows,
            given={"labels": GROUPS, **options},
            variant=variant,
            mean=supervised_mean,
            independent_rows=False,
        )
        for variant, options in {
            "": {},
            "in": {"variant": "in", "temperature": 0.5},
            "scaled": {"base_temperature": 0.07},
            "negatives": {"denominator": "negatives"},
        }.items()
    ),
    Case(
        "clip_loss",
        {"image": A, "text": B},
        clip,
        parameters={"scale": np.array(10.0)},
        independent_rows=False,
    ),
    Case(
        "siglip_loss",
        {"image": A, "text": B},
        siglip,
        parameters={"scale": np.array(10.0), "bias": np.array(-10.0)},
        independent_rows=False,
    ),
]
HELPERS: list = []
