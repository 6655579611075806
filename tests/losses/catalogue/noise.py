"""Truths of the losses for labels that are wrong at times."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import CLASSES, LABELS, Case, logits

# T[i, j] = P(noisy j | true i): rows sum to one, and nothing is symmetric
TRANSITION = np.array(
    [[0.7, 0.2, 0.1, 0.0], [0.05, 0.8, 0.05, 0.1], [0.2, 0.1, 0.6, 0.1], [0.0, 0.3, 0.2, 0.5]]
)
INDEX = np.array([3, 0, 6, 1, 5])  # the rows of the batch among the rows of the data
SEEN = logits(50, (7, CLASSES))  # an epoch before this one
SEEN_LABELS = np.array([0, 1, 2, 3, 0, 1, 2])
SEEN[np.arange(7), SEEN_LABELS] += 6.0
SEEN[4, 2] += 20.0  # one is wrong, and teaches nothing


def forward(logits, labels, transition):
    """Patrini et al., CVPR 2017: −log Σ_c T[c, ỹ] p_c."""
    noisy = plain.softmax(logits, axis=-1) @ transition
    if np.all(noisy[plain.rows_of(labels)] > 1e-100):
        return -np.log(noisy[plain.rows_of(labels)])
    with np.errstate(divide="ignore"):
        log_noisy = plain.logsumexp(
            plain.log_softmax(logits, axis=-1) + np.log(transition[:, labels]).T, axis=-1
        )
    return -log_noisy


def backward(logits, labels, transition):
    """(T⁻¹ ℓ)_ỹ with ℓ_c = −log p_c."""
    return np.sum(np.linalg.inv(transition)[labels] * -plain.log_softmax(logits, axis=-1), axis=-1)


def hard_bootstrapping(logits, labels, label_weight=0.8):
    """Reed et al., ICLR workshop 2015: the target is β e_y + (1 − β) e_argmax."""
    guess = np.argmax(logits, axis=-1)
    return -label_weight * plain.chosen(logits, labels) - (1 - label_weight) * plain.chosen(logits, guess)


def soft_bootstrapping(logits, labels, label_weight=0.95):
    """The target is β e_y + (1 − β) p, p and all differentiated."""
    return -label_weight * plain.chosen(logits, labels) + (1 - label_weight) * plain.entropy(logits)


def soft_bootstrapping_held(logits, labels, label_weight=0.95, held=None, detach=True):
    """The same, the prediction in the target held still."""
    p = plain.softmax(logits if held is None else held, axis=-1)
    log_p = plain.log_softmax(logits, axis=-1)
    return -label_weight * plain.chosen(logits, labels) - (1 - label_weight) * np.sum(
        np.where(p > 0, p * np.where(p > 0, log_p, 0.0), 0.0), axis=-1
    )


def learnt_soft_labels():
    """Zhang et al., TIP 2021: per class, the mean prediction of the rows that were right."""
    p = plain.softmax(SEEN, axis=-1)
    S = np.zeros((CLASSES, CLASSES))
    for row, y in zip(p, SEEN_LABELS, strict=True):
        if np.argmax(row) == y:
            S[y] += row
    return S / S.sum(axis=1, keepdims=True)


def online_smoothing(S, share):
    def truth(logits, labels):
        soft = -np.sum(S[labels] * plain.log_softmax(logits, axis=-1), axis=-1)
        return -(1 - share) * plain.chosen(logits, labels) + share * soft

    return truth


def early_learning(strength, momentum, batches=1):
    """Liu et al., NeurIPS 2020: CE + λ log(1 − ⟨t, p⟩), t ← βt + (1 − β)p̂ before it, not differentiated."""

    def truth(logits, labels, index, held=None):
        p = plain.softmax(logits, axis=-1)
        seen = np.clip(plain.softmax(logits if held is None else held, axis=-1), 1e-4, 1 - 1e-4)
        seen = seen / seen.sum(axis=-1, keepdims=True)
        t = np.zeros((len(index), CLASSES))
        for _ in range(batches):
            t = momentum * t + (1 - momentum) * seen
        return -plain.chosen(logits, labels) + strength * np.log(1 - np.sum(t * p, axis=-1))

    return truth


def _early_learning(batches=1, **settings):
    def make(losses):
        def loss(logits, labels, index, **options):
            state = losses.EarlyLearningRegularization(7, CLASSES, **settings)
            for _ in range(batches - 1):
                state.loss(logits, labels, index, **options)
            return state.loss(logits, labels, index, **options)

        return loss

    return make


def _online_smoothing(epochs=0, **settings):
    def make(losses):
        state = losses.OnlineLabelSmoothing(CLASSES, **settings)
        for _ in range(epochs):
            state.update(SEEN, SEEN_LABELS)
            state.next_epoch()
        return state.loss

    return make


_SOFTMAX = {"shift_invariant": True, "extreme": "softmax"}
Z, Y = "logits", "labels"

CASES = [
    Case(
        "forward_corrected_loss",
        {Z: logits(51)},
        forward,
        given={Y: LABELS, "transition": TRANSITION},
        options=True,
        **_SOFTMAX,
    ),
    Case(
        "backward_corrected_loss",
        {Z: logits(52)},
        backward,
        given={Y: LABELS, "transition": TRANSITION},
        shift_invariant=True,
    ),
    Case(
        "hard_bootstrapping_loss",
        {Z: logits(53)},
        hard_bootstrapping,
        given={Y: LABELS},
        **_SOFTMAX,
    ),
    Case(
        "hard_bootstrapping_loss",
        {Z: logits(54)},
        hard_bootstrapping,
        given={Y: LABELS, "label_weight": 0.3},
        variant="mostly its own",
        **_SOFTMAX,
    ),
    Case(
        "soft_bootstrapping_loss",
        {Z: logits(55)},
        soft_bootstrapping,
        given={Y: LABELS},
        **_SOFTMAX,
    ),
    Case(
        "soft_bootstrapping_loss",
        {Z: logits(56)},
        soft_bootstrapping,
        given={Y: LABELS, "label_weight": 0.4},
        variant="mostly its own",
        **_SOFTMAX,
    ),
    Case(
        "soft_bootstrapping_loss",
        {Z: logits(57)},
        soft_bootstrapping_held,
        given={Y: LABELS, "label_weight": 0.4, "detach": True},
        variant="detached",
        hold=True,
        **_SOFTMAX,
        twice=False,
    ),
    Case(
        "OnlineLabelSmoothing",
        {Z: logits(58)},
        online_smoothing(np.full((CLASSES, CLASSES), 1 / CLASSES), 0.5),
        given={Y: LABELS},
        make=_online_smoothing(),
        variant="first epoch",
        **_SOFTMAX,
    ),
    Case(
        "OnlineLabelSmoothing",
        {Z: logits(59)},
        online_smoothing(learnt_soft_labels(), 0.3),
        given={Y: LABELS},
        make=_online_smoothing(1, label_smoothing=0.3),
        variant="second epoch",
        **_SOFTMAX,
    ),
    Case(
        "EarlyLearningRegularization",
        {Z: logits(60)},
        early_learning(3.0, 0.7),
        given={Y: LABELS, "index": INDEX},
        make=_early_learning(),
        hold=True,
        **_SOFTMAX,
        twice=False,
    ),
    Case(
        "EarlyLearningRegularization",
        {Z: logits(61)},
        early_learning(7.0, 0.9, batches=3),
        given={Y: LABELS, "index": INDEX},
        make=_early_learning(3, strength=7.0, momentum=0.9),
        variant="third batch",
        hold=True,
        **_SOFTMAX,
        twice=False,
    ),
]
HELPERS: list = []
