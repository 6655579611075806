"""Truths of learning from another model's predictions."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, Case, Helper, logits

TEACHER = logits(120)


def kl(log_p, log_q):
    p = np.exp(log_p)
    return np.sum(np.where(p > 0, p * np.where(p > 0, log_p - log_q, 0.0), 0.0), axis=-1)


def distillation(
    student,
    teacher,
    labels=None,
    temperature=4.0,
    label_weight=0.5,
    direction="forward",
    squared_temperature=True,
):
    """Hinton, Vinyals & Dean 2015: α CE + (1 − α) T² KL(teacher ‖ student), both at T."""
    s = plain.log_softmax(student / temperature, axis=-1)
    t = plain.log_softmax(teacher / temperature, axis=-1)
    if direction == "forward":
        soft = kl(t, s)
    elif direction == "reverse":
        soft = kl(s, t)
    else:
        middle = np.log((np.exp(s) + np.exp(t)) / 2)
        soft = (kl(t, middle) + kl(s, middle)) / 2
    if squared_temperature:
        soft = temperature**2 * soft
    if labels is None:
        return soft
    return -label_weight * plain.chosen(student, labels) + (1 - label_weight) * soft


def jensen_shannon(*several):
    """Of several predictions: the mean KL from each to their mean."""
    log_p = [plain.log_softmax(z, axis=-1) for z in several]
    middle = np.log(np.mean(np.exp(log_p), axis=0))
    return np.mean([kl(l, middle) for l in log_p], axis=0)


def augmix(clean, first, second, labels, consistency_weight=12.0):
    """Hendrycks et al., ICLR 2020: CE(clean) + λ JS(clean, first, second)."""
    return -plain.chosen(clean, labels) + consistency_weight * jensen_shannon(clean, first, second)


def top_k(teacher, k=2, temperature=1.0, renormalize=True):
    """The k most likely classes, most likely first, and their probabilities."""
    p = plain.softmax(teacher / temperature, axis=-1)
    order = np.argsort(-p, axis=-1)[:, :k]
    kept = np.take_along_axis(p, order, axis=-1)
    return order, kept / np.sum(kept, axis=-1, keepdims=True) if renormalize else kept


Z = logits(121)
CASES = [
    *(
        Case(
            "distillation_loss",
            {"student": Z},
            distillation,
            given={"teacher": TEACHER, **given},
            variant=variant,
            shift_invariant=True,
            extreme="softmax" if variant in ("", "labels") else "",
        )
        for variant, given in {
            "": {},
            "labels": {"labels": LABELS},
            "mixed": {"labels": LABELS, "label_weight": 0.1, "temperature": 2.0},
            "reverse": {"direction": "reverse", "temperature": 2.0},
            "reverse labels": {"direction": "reverse", "labels": LABELS, "label_weight": 0.3},
            "jensen-shannon": {"direction": "jensen-shannon", "temperature": 2.0},
            "unsquared": {"squared_temperature": False, "labels": LABELS},
        }.items()
    ),
    Case(
        "augmix_loss",
        {"clean": logits(122), "first": logits(123), "second": logits(124)},
        augmix,
        given={"labels": LABELS},
    ),
    Case(
        "augmix_loss",
        {"clean": logits(122), "first": logits(123), "second": logits(124)},
        augmix,
        given={"labels": LABELS, "consistency_weight": 1.5},
        variant="light",
    ),
    Case(
        "jsd_consistency",
        {"first": logits(125), "second": logits(126), "third": logits(127)},
        lambda first, second, third: jensen_shannon(first, second, third),
    ),
    Case(
        "jsd_consistency",
        {"first": logits(125), "second": logits(126)},
        lambda first, second: jensen_shannon(first, second),
        variant="two",
    ),
]

_TOP_K = {
    "": {},
    "raw": {"renormalize": False},
    "soft": {"temperature": 3.0},
}
HELPERS = [
    Helper(
        "top_k_teacher",
        (TEACHER, 2),
        {
            "indices": lambda z, k, options=options: top_k(z, k, **options)[0],
            "weights": lambda z, k, options=options: top_k(z, k, **options)[1],
        },
        options=options,
        variant=variant,
    )
    for variant, options in _TOP_K.items()
]
