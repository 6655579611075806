"""The losses of a generative adversarial network: the theorems of its paper."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

import crossentropy as ce
from crossentropy.losses.adversarial import discriminator_loss, generator_loss

REAL = np.array([0.5, 0.2, 0.3, 0.0])  # two distributions over four points
FAKE = np.array([0.1, 0.4, 0.3, 0.2])


def best_discriminator():
    with np.errstate(divide="ignore"):
        return np.log(REAL) - np.log(FAKE)


def test_the_best_discriminators_loss_says_how_far_the_generator_is():
    """Goodfellow et al. 2014, theorem 1: 2 ln 2 − 2 JS(real, generated)."""
    best = best_discriminator()
    found = discriminator_loss(best, best, real_weight=REAL, fake_weight=FAKE)
    assert float(found) == pytest.approx(2 * np.log(2) - 2 * ce.js_divergence(REAL, FAKE), rel=1e-14)


def test_smoothing_is_of_the_real_ones_alone():
    """Then the best discriminator is (1 − ε) p_real / (p_real + p_generated) (Salimans et al. 2016)."""
    torch = pytest.importorskip("torch")
    p = 0.9 * REAL / (REAL + FAKE)
    keep = REAL > 0
    best = torch.tensor(np.log(p / (1 - p), where=keep, out=np.zeros(4)), requires_grad=True)
    loss = discriminator_loss(
        best,
        best,
        label_smoothing=0.1,
        real_weight=torch.tensor(REAL),
        fake_weight=torch.tensor(FAKE),
        reduction="sum",
    )
    (slope,) = torch.autograd.grad(loss, best)
    np.testing.assert_allclose(slope[keep], 0, atol=1e-16)


def test_the_mean_is_that_of_the_real_ones_and_that_of_the_generated_ones():
    real, fake = np.array([1.0, -2.0]), np.array([0.5, 0.0, -1.0])
    expected = -np.log(expit(real)).mean() - np.log(expit(-fake)).mean()
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-14)


def test_the_saturating_loss_vanishes_where_the_discriminator_is_sure_and_the_other_does_not():
    torch = pytest.importorskip("torch")
    g = torch.tensor([-100.0, -30.0, -1.0, 0.0, 2.0, 30.0, 100.0], dtype=torch.float64, requires_grad=True)
    at = g.detach().numpy()
    for saturating, expected in ((True, -expit(at)), (False, -expit(-at))):
        (slope,) = torch.autograd.grad(generator_loss(g, saturating=saturating, reduction="sum"), g)
        np.testing.assert_allclose(slope, expected, rtol=1e-14)


def test_the_saturating_loss_is_what_the_discriminator_loses_to_it():
    fake = np.array([0.5, -3.0, 1.0])
    found = generator_loss(fake, saturating=True)
    expected = discriminator_loss(np.full(1, np.inf), fake)  # real ones cost nothing
    assert float(found) == pytest.approx(-float(expected), rel=1e-15)


def test_the_generators_loss_passes_options_on():
    fake, weights = np.array([0.5, -3.0, np.nan]), np.array([1.0, 2.0, 0.0])
    found = generator_loss(fake, sample_weight=weights, normalizer="count")
    assert float(found) == pytest.approx(np.sum(weights[:2] * np.logaddexp(0, -fake[:2])) / 3, rel=1e-14)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"reduction": "none"}, "no rows in common"), ({"label_smoothing": 1.5}, "it is a share")],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        discriminator_loss(np.zeros(2), np.zeros(2), **options)
