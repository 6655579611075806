"""Distributions that were float32 once: everywhere that a sum is held to one, it is by what its numbers can keep."""

import numpy as np
import pytest

import crossentropy as ce

CLASSES = 50
Z = np.random.default_rng(0).normal(size=(200, CLASSES)).astype(np.float32)
NARROW = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)  # in float32
WIDENED = NARROW.astype(np.float64)
OFF = np.abs(WIDENED.sum(axis=1) - 1).max()
USES = {
    "entropy": lambda p: ce.entropy(p),
    "kl_divergence": lambda p: ce.kl_divergence(p, p),
    "soft targets": lambda p: ce.softmax_cross_entropy(Z.astype(np.float64), p),
    "soft targets, every class": lambda p: ce.softmax_cross_entropy(
        Z.astype(np.float64), p, link=ce.links.Focal(2.0)
    ),
    "transition": lambda p: ce.losses.forward_corrected_loss(
        Z.astype(np.float64), np.arange(200) % CLASSES, p[:CLASSES]
    ),
    "log_loss": lambda p: ce.log_loss(p, np.arange(200) % CLASSES),
}
each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def test_widened_sums_miss_what_float64_is_held_to():
    assert OFF > 1e-8


@each_use
def test_a_float32_softmax_widened_to_float64_is_a_distribution(use):
    assert np.isfinite(use(WIDENED)).all()


@each_use
def test_numbers_of_all_their_digits_are_held_to_them(use):
    wrong = WIDENED * (1 + 1e-6 * np.pi)
    with pytest.raises(ValueError, match=r"sum"):
        use(wrong)


@pytest.mark.parametrize("use", ["entropy", "soft targets"])
def test_the_refusal_prints_the_digits_that_differ(use):
    with pytest.raises(ValueError, match=r"sums? to 1\.00000[0-9]+, not to 1"):
        USES[use](WIDENED * (1 + 1e-6 * np.pi))
