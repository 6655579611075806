"""A bias or a margin beside float32 logits near 10⁵: nothing is lost of it, against float64 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from frameworks import JAX

torch = pytest.importorskip("torch")

ROWS = 5
every_size = pytest.mark.parametrize("classes", [7, 100, 300, 4096 + 65])
every_place = pytest.mark.parametrize("place", [1e5, -3e4])


def batch(classes, place):
    """Logits, labels, a bias, and what the logits are with it, in float64."""
    rng = np.random.default_rng(classes)
    z = (rng.normal(size=(ROWS, classes)) * 3 + place).astype(np.float32)
    y, bias = rng.integers(0, classes, ROWS), (rng.normal(size=classes) * 2).astype(np.float32)
    z[0].sort()  # each chunk has a higher top
    z[1, : classes // 2] -= np.float32(place)  # some are far from the others
    return z, y, bias, z.astype(np.float64) + bias


def by_definition(u, masses):
    """Losses, and their gradient by u."""
    depth = u - u.max(axis=1, keepdims=True)
    log_p = depth - np.log(np.exp(depth).sum(axis=1, keepdims=True))
    return -(masses * log_p).sum(axis=1), np.exp(log_p) - masses


def losses_and_gradient(loss, z, target, **options):
    z = torch.from_numpy(z.copy()).requires_grad_()
    losses = loss(z, target, reduction="none", **options)
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    return losses.detach().double().numpy(), gradient.double().numpy()


def assert_close(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)


@every_size
@every_place
@pytest.mark.parametrize("form", ["label", "axis 0", "soft", "set", "entropy"])
def test_a_bias_of_classes_keeps_its_digits(classes, place, form):
    z, y, bias, u = batch(classes, place)
    masses, labels, options = np.eye(classes)[y], torch.from_numpy(y), {"logit_bias": torch.from_numpy(bias)}
    expected = by_definition(u, masses)
    if form == "axis 0":
        found = losses_and_gradient(ce.softmax_cross_entropy, z.T, labels, axis=0, **options)
        found = found[0], found[1].T
    elif form == "entropy":
        found = losses_and_gradient(ce.softmax_cross_entropy, z, labels, entropy_bonus=1e-12, **options)
    else:
        target = {
            "label": labels,
            "soft": torch.from_numpy(masses),
            "set": ce.targets.LabelSet(torch.from_numpy(masses == 1)),
        }[form]
        found = losses_and_gradient(ce.softmax_cross_entropy, z, target, **options)
    assert_close(found, expected)


@every_size
@every_place
def test_a_margin_of_a_set_keeps_its_digits(classes, place):
    z, y, _, _ = batch(classes, place)
    masses = np.eye(classes)[y]
    found = losses_and_gradient(
        ce.softmax_cross_entropy, z, ce.targets.LabelSet(torch.from_numpy(masses == 1)), margin=0.3
    )
    assert_close(found, by_definition(z - 0.3 * masses, masses))


@every_size
@every_place
def test_ranks_and_entropies_are_those_of_the_sums(classes, place):
    z, y, bias, u = batch(classes, place)
    found = ce.target_statistics(z, y, logit_bias=bias, entropy=True, rank=True)
    own = u[np.arange(ROWS), y][:, None]
    np.testing.assert_array_equal(found.rank, (u > own).sum(axis=1))
    np.testing.assert_array_equal(found.argmax, u.argmax(axis=1))
    p = np.exp(u - u.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.entropy, -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1), rtol=1e-5)


@every_size
def test_second_derivatives_and_those_by_the_temperature_keep_their_digits(classes):
    z, y, bias, u = batch(classes, 1e5)
    v = np.random.default_rng(0).normal(size=z.shape)
    logits, labels, beside = torch.from_numpy(z).requires_grad_(), torch.from_numpy(y), torch.from_numpy(bias)
    temperature = torch.ones(ROWS, dtype=torch.float64, requires_grad=True)
    loss = ce.softmax_cross_entropy(logits, labels, logit_bias=beside, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    (found,) = torch.autograd.grad(gradient, logits, torch.from_numpy(v.astype(np.float32)))
    slope = by_definition(u, np.eye(classes)[y])[1]
    p = slope + np.eye(classes)[y]
    np.testing.assert_allclose(
        found.double().numpy(), p * (v - (p * v).sum(axis=1, keepdims=True)), atol=1e-5
    )
    loss = ce.softmax_cross_entropy(
        logits, labels, logit_bias=beside, temperature=temperature, z_loss=1e-9, reduction="sum"
    )
    (found,) = torch.autograd.grad(loss, temperature)
    by_z_loss = -2e-9 * 1e5 * 1e5  # about
    lead = z.astype(np.float64) - z.astype(np.float64).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), -(slope * lead).sum(axis=1) + by_z_loss, rtol=1e-3)


@every_size
def test_a_bias_keeps_its_digits_in_jax(classes):
    z, y, bias, u = batch(classes, 1e5)
    fw = JAX()
    with fw.wide():
        loss = lambda z: ce.softmax_cross_entropy(z, fw.own(y), logit_bias=fw.own(bias), reduction="none")  # noqa: E731
        losses, pull = fw.jax.vjp(loss, fw.own(z))
        (gradient,) = pull(fw.jax.numpy.ones_like(losses))
        assert_close((fw.numpy(losses), fw.numpy(gradient)), by_definition(u, np.eye(classes)[y]))
