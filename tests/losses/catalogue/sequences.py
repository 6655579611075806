"""Truths of the losses of tokens in a row."""

from __future__ import annotations

import itertools

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import Case, logits

Z = logits(130, (2, 3, 4))
TOKENS = np.array([[1, 3, 0], [2, 2, 1]])
MASK = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


def token_losses(logits, labels):
    log_p = plain.log_softmax(logits, axis=-1)
    return -np.take_along_axis(log_p, np.asarray(labels)[..., None], axis=-1)[..., 0]


def sequence(logits, labels, mask=None, shift=0, normalizer="token"):
    """Σ mask · loss over its tokens, over each sequence's own tokens, or over a number."""
    if shift:
        logits, labels = logits[:, :-shift], labels[:, shift:]
        mask = None if mask is None else mask[:, shift:]
    losses = token_losses(logits, labels)
    mask = np.ones_like(losses) if mask is None else mask
    if normalizer == "sequence":
        own = np.sum(mask, axis=1)
        return np.mean((np.sum(mask * losses, axis=1) / own)[own > 0])
    return np.sum(mask * losses) / (np.sum(mask) if normalizer == "token" else normalizer)


def ctc(logits, labels, input_lengths, label_lengths, blank=0):
    """Graves et al., ICML 2006: −log of the summed probability of every path that collapses to the label.

    `logits` are (N, T, C), every path is written out.
    """
    losses = []
    for z, y, steps, size in zip(logits, labels, input_lengths, label_lengths, strict=True):
        log_p = plain.log_softmax(z[:steps], axis=-1)
        paths = []
        for path in itertools.product(range(z.shape[-1]), repeat=int(steps)):
            collapsed = [c for c, _ in itertools.groupby(path) if c != blank]
            if collapsed == list(y[:size]):
                paths.append(sum(log_p[t, c] for t, c in enumerate(path)))
        losses.append(-plain.logsumexp(paths))
    return np.array(losses)


def sequence_log_prob(logits, labels, mask=None, shift=0, reduction="sum"):
    if shift:
        logits, labels = logits[:, :-shift], labels[:, shift:]
        mask = None if mask is None else mask[:, shift:]
    losses = token_losses(logits, labels)
    mask = np.ones_like(losses) if mask is None else mask
    return -np.sum(mask * losses, axis=1) / (np.sum(mask, axis=1) if reduction == "mean" else 1)


def sequence_perplexity(logits, labels, mask=None, shift=0, reduction="mean"):
    if reduction == "mean":
        return np.exp(sequence(logits, labels, mask, shift))
    return np.exp(-sequence_log_prob(logits, labels, mask, shift, "mean"))


CASES = [
    *(
        Case(
            "sequence_cross_entropy",
            {"logits": Z},
            sequence,
            given={"labels": TOKENS, **given},
            variant=variant,
            rows=False,
        )
        for variant, given in {
            "": {},
            "masked": {"mask": MASK},
            "shifted": {"shift": 1},
            "shifted and masked": {"shift": 1, "mask": MASK},
            "by sequence": {"normalizer": "sequence", "mask": MASK},
            "by a number": {"normalizer": 7.0, "mask": MASK},
        }.items()
    ),
    Case(
        "sequence_cross_entropy",
        {"logits": Z},
        lambda logits, labels, shift, reduction: token_losses(logits[:, :-shift], labels[:, shift:]),
        given={"labels": TOKENS, "shift": 1, "reduction": "none"},
        variant="tokens",
        rows=False,
    ),
    *(
        Case(
            name,
            {"logits": Z},
            truth,
            given={"labels": TOKENS, **given},
            variant=variant,
            rows=False,
        )
        for name, truth, variant, given in (
            ("sequence_log_prob", sequence_log_prob, "mean", {"mask": MASK, "reduction": "mean"}),
            ("sequence_perplexity", sequence_perplexity, "", {}),
            ("sequence_perplexity", sequence_perplexity, "masked", {"mask": MASK}),
            ("sequence_perplexity", sequence_perplexity, "of each", {"shift": 1, "reduction": "none"}),
        )
    ),
    Case(
        "ctc_loss",
        {"logits": logits(132, (3, 4, 3))},
        ctc,
        given={
            "labels": np.array([[1, 2], [1, 1], [2, 0]]),
            "input_lengths": np.array([4, 3, 4]),
            "label_lengths": np.array([2, 2, 1]),
        },
        libraries=("torch",),
        twice=False,
    ),
    Case(
        "ctc_loss",
        {"logits": logits(133, (2, 4, 3))},
        ctc,
        given={
            "labels": np.array([[1, 0], [0, 0]]),
            "input_lengths": np.array([3, 4]),
            "label_lengths": np.array([2, 2]),
            "blank": 2,
        },
        variant="last blank",
        libraries=("torch",),
        twice=False,
    ),
]


HELPERS: list = []
