"""Truths of the losses of policies and preferences."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import LABELS, Case, logits
from losses.catalogue.sequences import MASK, TOKENS, sequence_log_prob

ADVANTAGES = np.array([1.5, -0.7, 0.2, -2.0, 0.9])
Z = logits(140)
OLD = plain.chosen(Z, LABELS) + np.array(
    [0.5, -0.6, 0.05, 0.3, -0.1]
)  # some ratios beyond the clip, either way


def by_count(losses, weights):
    """The mean over rows, whatever they weigh."""
    return np.sum(weights * losses) / len(losses)


def policy_gradient(logits, actions, advantages, entropy_bonus=0.0):
    """Williams 1992; Mnih et al. 2016: −Â log π(a) − η H."""
    return -advantages * plain.chosen(logits, actions) - entropy_bonus * plain.entropy(logits)


def cloning(logits, actions):
    return -plain.chosen(logits, actions)


def ppo(logits, actions, advantages, old_log_prob, clip=0.2, entropy_bonus=0.0):
    """Schulman et al. 2017: −min(r Â, clip(r, 1 ± c) Â) − η H."""
    ratio = np.exp(plain.chosen(logits, actions) - old_log_prob)
    inside = np.minimum(ratio * advantages, np.clip(ratio, 1 - clip, 1 + clip) * advantages)
    return -inside - entropy_bonus * plain.entropy(logits)


def dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1, label_smoothing=0.0):
    """Rafailov et al., NeurIPS 2023; smoothed as in Mitchell's conservative note."""
    h = beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))
    return -(1 - label_smoothing) * plain.log_expit(h) - label_smoothing * plain.log_expit(-h)


_ACTIONS = {"actions": LABELS, "advantages": ADVANTAGES}
_CHOSEN = {"policy_chosen": logits(141, (5,), 10.0), "policy_rejected": logits(142, (5,), 10.0)}
_REFERENCE = {"reference_chosen": logits(143, (5,), 10.0), "reference_rejected": logits(144, (5,), 10.0)}

CASES = [
    Case(
        "policy_gradient",
        {"logits": Z},
        policy_gradient,
        given=_ACTIONS,
        mean=by_count,
        shift_invariant=True,
    ),
    Case(
        "policy_gradient",
        {"logits": Z},
        policy_gradient,
        given={**_ACTIONS, "entropy_bonus": 0.3},
        variant="entropy",
        mean=by_count,
        shift_invariant=True,
    ),
    Case(
        "behavior_cloning",
        {"logits": logits(145)},
        cloning,
        given={"actions": LABELS},
        options=True,
        shift_invariant=True,
        extreme="softmax",
    ),
    Case(
        "ppo_loss",
        {"logits": Z},
        ppo,
        given={**_ACTIONS, "old_log_prob": OLD},
        mean=by_count,
        shift_invariant=True,
    ),
    Case(
        "ppo_loss",
        {"logits": Z},
        ppo,
        given={**_ACTIONS, "old_log_prob": OLD, "clip": 0.4, "entropy_bonus": 0.1},
        variant="entropy",
        mean=by_count,
        shift_invariant=True,
    ),
    Case("dpo_loss", {**_CHOSEN, **_REFERENCE}, dpo),
    Case(
        "dpo_loss",
        {**_CHOSEN, **_REFERENCE},
        dpo,
        given={"beta": 0.5, "label_smoothing": 0.1},
        variant="smoothed",
    ),
    *(
        Case(
            "sequence_log_prob",
            {"logits": logits(146, (2, 3, 4))},
            sequence_log_prob,
            given={"labels": TOKENS, **given},
            variant=variant,
            rows=False,
        )
        for variant, given in {"": {}, "shifted and masked": {"shift": 1, "mask": MASK}}.items()
    ),
]
HELPERS: list = []
