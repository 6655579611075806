"""Peers beside us: optax and coral-pytorch where they are installed, others by the formula that they print.

Values agree to 1e-12; where conventions differ the test says what ours is of theirs.
"""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from losses.catalogue import core, multilabel, ordinal, plain
from losses.catalogue.case import LABELS, logits

losses = ce.losses


# ---------------------------------------------------------------------------------------------- optax


@pytest.fixture
def optax():
    """optax in float64."""
    peer = pytest.importorskip("optax")
    with pytest.importorskip("jax").enable_x64(True):
        yield peer


def own(values):
    return pytest.importorskip("jax.numpy").asarray(values)


def same(ours, peer):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(peer), rtol=1e-12, atol=1e-15)


def test_optax_softmax_cross_entropy(optax):
    """Its docstring's numbers, and its function; −inf off the target as its safe variant has it."""
    z = own([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    found = ce.softmax_cross_entropy(z, own([0, 1]), reduction="none")
    np.testing.assert_allclose(found, [0.2761, 2.9518], atol=5e-5)
    same(found, optax.softmax_cross_entropy_with_integer_labels(z, own([0, 1])))
    masked = own([[1.2, -np.inf, -0.5], [-np.inf, -1.2, 1.1]])
    t = own([[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]])
    same(ce.softmax_cross_entropy(masked, t, reduction="none"), optax.safe_softmax_cross_entropy(masked, t))


def test_optax_softmax_cross_entropy_over_two_axes(optax):
    """Its docstring: 12 classes on two axes, losses 6.4587 and 0.4587."""
    z = own(np.arange(24.0).reshape(1, 2, 12))
    found = ce.softmax_cross_entropy(z, own([[5, 11]]), reduction="none")
    np.testing.assert_allclose(found, [[6.4587, 0.4587]], atol=5e-5)


def test_optax_sigmoid_binary_cross_entropy(optax):
    z, t = own(logits(5)), own(multilabel.MULTI.astype(float))
    same(ce.sigmoid_cross_entropy(z, t, reduction="none"), optax.sigmoid_binary_cross_entropy(z, t))


@pytest.mark.parametrize("epsilon", [2.0, -1.0])
def test_optax_poly_loss(optax, epsilon):
    z, y = own(logits(12)), LABELS
    found = losses.poly_loss(z, own(y), epsilon=epsilon, reduction="none")
    same(found, optax.losses.poly_loss_cross_entropy(z, own(plain.one_hot(y, 4)), epsilon=epsilon))
    t = own(core.SOFT)
    found = losses.poly_loss(z, t, epsilon=epsilon, reduction="none")
    same(found, optax.losses.poly_loss_cross_entropy(z, t, epsilon=epsilon))


@pytest.mark.parametrize(("alpha", "gamma"), [(None, 2.0), (0.25, 2.0), (0.6, 1.5)])
def test_optax_sigmoid_focal_loss(optax, alpha, gamma):
    z, y = own(logits(82)), own(multilabel.MULTI)
    found = losses.sigmoid_focal_loss(z, y, alpha=alpha, gamma=gamma, reduction="none")
    same(found, optax.sigmoid_focal_loss(z, y, alpha=alpha, gamma=gamma))


def test_optax_multiclass_hinge_loss(optax):
    z, y = own(logits(71)), own(LABELS)
    same(losses.hinge_loss(z, y, reduction="none"), optax.losses.multiclass_hinge_loss(z, y))


def test_optax_ntxent_with_one_positive_each(optax):
    """Of one positive everything but the anchor is that and the negatives."""
    first, second = own(logits(100, (5, 3))), own(logits(101, (5, 3)))
    found = losses.nt_xent(first, second, temperature=0.3)
    both_views = own(np.concatenate([np.asarray(first), np.asarray(second)]))
    peer = optax.losses.ntxent(both_views, own(np.tile(np.arange(5), 2)), temperature=0.3)
    np.testing.assert_allclose(found, peer, rtol=1e-12)


def test_optax_ntxent_with_several_positives(optax):
    """Each positive stands among the negatives alone, and the mean is over pairs of anchor and positive."""
    first, second = own(logits(100, (5, 3))), own(logits(101, (5, 3)))
    groups = np.array([0, 1, 0, 2, 1])
    pairs = np.array([2 * np.sum(groups == g) - 1.0 for g in groups])
    found = losses.nt_xent(
        first,
        second,
        temperature=0.3,
        labels=own(groups),
        denominator="negatives",
        sample_weight=own(np.tile(pairs, 2)),
    )
    views = own(np.concatenate([np.asarray(first), np.asarray(second)]))
    peer = optax.losses.ntxent(views, own(np.tile(groups, 2)), temperature=0.3)
    np.testing.assert_allclose(found, peer, rtol=1e-12)


def test_optax_ctc_loss(optax):
    """Ours is PyTorch's algorithm, from logits; optax has one of its own."""
    torch = pytest.importorskip("torch")
    z, y = logits(131, (3, 5, 4)), np.array([[1, 2, 0], [3, 3, 0], [2, 0, 0]])
    steps, sizes = np.array([5, 4, 5]), np.array([2, 2, 1])
    found = losses.ctc_loss(*map(torch.from_numpy, (z, y, steps, sizes)), reduction="none")
    padding = [(np.arange(n) >= length[:, None]).astype(float) for n, length in ((5, steps), (3, sizes))]
    peer = optax.losses.ctc_loss(own(z), own(padding[0]), own(y), own(padding[1]))
    np.testing.assert_allclose(found.numpy(), peer, rtol=1e-9)


def test_optax_smooth_labels(optax):
    z = own(logits(1))
    smoothed = optax.smooth_labels(own(plain.one_hot(LABELS, 4)), 0.1)
    found = ce.softmax_cross_entropy(z, own(LABELS), label_smoothing=0.1, reduction="none")
    same(found, optax.softmax_cross_entropy(z, smoothed))


def test_optax_kl_divergence_is_the_distillation_of_temperature_one(optax):
    student, teacher = own(logits(121)), own(logits(120))
    jax = pytest.importorskip("jax")
    found = losses.distillation_loss(student, teacher, temperature=1.0, reduction="none")
    same(found, optax.kl_divergence(jax.nn.log_softmax(student), jax.nn.softmax(teacher)))
    found = losses.distillation_loss(student, teacher, temperature=1.0, direction="reverse", reduction="none")
    same(found, optax.kl_divergence(jax.nn.log_softmax(teacher), jax.nn.softmax(student)))


# ------------------------------------------------------------------------------- coral-pytorch


@pytest.mark.parametrize("importance", [None, np.array([1.0, 0.5, 2.0])])
def test_coral_pytorch_side_by_side(importance):
    peer = pytest.importorskip("coral_pytorch.losses")
    torch = pytest.importorskip("torch")
    z, y = torch.from_numpy(logits(90, (5, 3))), torch.from_numpy(LABELS)
    levels = torch.from_numpy(ordinal.levels(LABELS))
    weights = None if importance is None else torch.from_numpy(importance)
    torch.testing.assert_close(
        losses.coral_loss(z, y, importance=weights), peer.coral_loss(z, levels, weights), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(losses.corn_loss(z, y), peer.corn_loss(z, y, 4), rtol=1e-12, atol=0)


# -------------------------------------------------------------------- peers that print no numbers, by formula


def test_torchvision_sigmoid_focal_loss():
    """torchvision.ops.sigmoid_focal_loss as it is written there, in PyTorch: p_t, then alpha_t."""
    torch = pytest.importorskip("torch")
    z, t = torch.from_numpy(logits(82)), torch.from_numpy(multilabel.MULTI).double()
    p = torch.sigmoid(z)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    expected = (0.25 * t + 0.75 * (1 - t)) * entropy * (1 - (p * t + (1 - p) * (1 - t))) ** 2
    found = losses.sigmoid_focal_loss(z, torch.from_numpy(multilabel.MULTI), reduction="none")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_timm_asymmetric_loss():
    """timm.loss.AsymmetricLossMultiLabel, its sum over labels and rows: probabilities, clip, then weights."""
    torch = pytest.importorskip("torch")
    z, t = torch.from_numpy(logits(80)), torch.from_numpy(multilabel.MULTI).double()
    yes = torch.sigmoid(z)
    no = (1 - yes + 0.05).clamp(max=1)
    terms = t * torch.log(yes) + (1 - t) * torch.log(no)
    weights = (1 - yes * t - no * (1 - t)) ** (1 * t + 4 * (1 - t))
    found = losses.asymmetric_loss(
        z, torch.from_numpy(multilabel.MULTI), gamma_positive=1.0, gamma_negative=4.0, reduction="sum"
    )
    torch.testing.assert_close(found, -(terms * weights).sum(), rtol=1e-12, atol=0)


def test_timm_label_smoothing():
    """timm.loss.LabelSmoothingCrossEntropy: (1 − ε)·nll + ε·mean of −log p."""
    torch = pytest.importorskip("torch")
    z, y = torch.from_numpy(logits(1)), torch.from_numpy(LABELS)
    log_p = torch.log_softmax(z, dim=-1)
    expected = 0.9 * -log_p.gather(1, y[:, None]).squeeze(1) + 0.1 * -log_p.mean(dim=-1)
    found = ce.softmax_cross_entropy(z, y, label_smoothing=0.1)
    torch.testing.assert_close(found, expected.mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_torch_multi_margin_loss_is_weston_and_watkins_over_c(margin):
    """torch.nn.MultiMarginLoss divides the sum over the other classes by their number and the label's, C."""
    torch = pytest.importorskip("torch")
    z, y = torch.from_numpy(logits(73)), torch.from_numpy(LABELS)
    expected = torch.nn.functional.multi_margin_loss(z, y, margin=margin)
    found = losses.hinge_loss(z, y, kind="weston-watkins", margin=margin)
    torch.testing.assert_close(found / 4, expected, rtol=1e-12, atol=0)


def test_torch_kl_div_batchmean_is_the_distillation_of_soft_labels():
    """torch.nn.KLDivLoss(batchmean) of predictions at T, times T²: Hinton's gradient scale."""
    torch = pytest.importorskip("torch")
    student, teacher = torch.from_numpy(logits(121)), torch.from_numpy(logits(120))
    expected = 16 * torch.nn.functional.kl_div(
        torch.log_softmax(student / 4, -1), torch.softmax(teacher / 4, -1), reduction="batchmean"
    )
    torch.testing.assert_close(losses.distillation_loss(student, teacher), expected, rtol=1e-12, atol=0)
