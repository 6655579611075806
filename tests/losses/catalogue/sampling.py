"""Truths of the losses over a sample of the classes."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, Case, logits

TARGET, SAMPLED = logits(110, (5,)), logits(111, (5, 3))
TARGET_LOG, SAMPLED_LOG = np.log([0.5, 0.9, 0.2, 0.4, 0.9]), np.log([0.9, 0.3, 0.1])
CLASSES_SAMPLED = np.array([0, 5, 2])  # rows 0, 1 and 4 are hit: their labels are 2, 0 and 0


def sampled_softmax(
    target_logits,
    sampled_logits,
    target_log_expected=0.0,
    sampled_log_expected=0.0,
    labels=None,
    sampled=None,
):
    """Jean et al., ACL 2015: the label among the sample, each less the log of its expected count."""
    own = target_logits - target_log_expected
    rest = sampled_logits - sampled_log_expected
    if labels is not None:
        rest = np.where(labels[:, None] == sampled[None, :], -np.inf, rest)
    return -plain.chosen(np.concatenate([own[:, None], rest], axis=1), np.zeros(len(own), dtype=int))


def nce(target_logits, sampled_logits, target_log_expected=0.0, sampled_log_expected=0.0):
    """Gutmann & Hyvärinen 2010; Mnih & Teh 2012: data or noise, summed over the sample."""
    yes = -plain.log_expit(target_logits - target_log_expected)
    return yes - np.sum(plain.log_expit(-(sampled_logits - sampled_log_expected)), axis=1)


def negative_sampling(target_logits, sampled_logits):
    """Mikolov et al. 2013: the same without the correction."""
    return nce(target_logits, sampled_logits)


_INPUTS = {"target_logits": TARGET, "sampled_logits": SAMPLED}
_EXPECTED = {"target_log_expected": TARGET_LOG, "sampled_log_expected": SAMPLED_LOG}
CASES = [
    Case("sampled_softmax_loss", _INPUTS, sampled_softmax, given=_EXPECTED),
    Case(
        "sampled_softmax_loss",
        _INPUTS,
        sampled_softmax,
        given={**_EXPECTED, "labels": LABELS, "sampled": CLASSES_SAMPLED},
        variant="accidental hits",
    ),
    Case("nce_loss", _INPUTS, nce, given=_EXPECTED),
    Case("negative_sampling_loss", _INPUTS, negative_sampling),
]
HELPERS: list = []
