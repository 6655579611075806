"""Truths of the two players of a generative adversarial network."""

from __future__ import annotations

import numpy as np

from losses.catalogue import plain
from losses.catalogue.case import Case, logits

REAL, FAKE = logits(150, (5,)), logits(151, (5,))


def discriminator(real_logits, fake_logits, label_smoothing=0.0):
    """Goodfellow et al. 2014: −E log D(real) − E log(1 − D(fake)); real ones are 1 − ε true."""
    return np.mean(plain.bce(real_logits, 1 - label_smoothing)) + np.mean(plain.bce(fake_logits, 0.0))


REAL_WEIGHT, FAKE_WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 1.5]), np.array([0.25, 1.0, 0.0, 3.0, 1.0])


def weighted_discriminator(real_logits, fake_logits, real_weight, fake_weight):
    real, fake = plain.bce(real_logits, 1.0), plain.bce(fake_logits, 0.0)
    return np.average(real, weights=real_weight) + np.average(fake, weights=fake_weight)


def generator(fake_logits, saturating=False):
    """−log D(fake); saturating, log(1 − D(fake)) as in the minimax game."""
    return plain.log_expit(-fake_logits) if saturating else -plain.log_expit(fake_logits)


CASES = [
    Case("discriminator_loss", {"real_logits": REAL, "fake_logits": FAKE}, discriminator, rows=False),
    Case(
        "discriminator_loss",
        {"real_logits": REAL, "fake_logits": FAKE},
        discriminator,
        given={"label_smoothing": 0.1},
        variant="one-sided",
        rows=False,
    ),
    Case(
        "discriminator_loss",
        {"real_logits": REAL, "fake_logits": FAKE},
        weighted_discriminator,
        given={"real_weight": REAL_WEIGHT, "fake_weight": FAKE_WEIGHT},
        variant="weighted",
        rows=False,
    ),
    Case("generator_loss", {"fake_logits": FAKE}, generator),
    Case(
        "generator_loss", {"fake_logits": FAKE}, generator, given={"saturating": True}, variant="saturating"
    ),
]
HELPERS: list = []
