"""Normalized cross-entropy and active-passive losses: their readings, their ends and their derivatives."""

import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.normalized import active_passive_loss, normalized_cross_entropy

Z = np.random.default_rng(1).normal(size=(6, 4)) * 3
Y = np.array([0, 3, 2, 1, 3, 2])
LOG_P = Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
SHARE = LOG_P / LOG_P.sum(axis=1, keepdims=True)
ROWS = np.arange(6)
both = pytest.mark.parametrize("loss", [normalized_cross_entropy, active_passive_loss])


def test_the_losses_of_all_labels_add_up_to_one():
    """Ma et al., 2020, lemma 1: any loss is robust once it is normalized."""
    total = sum(normalized_cross_entropy(Z, np.full(6, c), reduction="none") for c in range(4))
    np.testing.assert_allclose(total, 1.0, rtol=1e-14)


def test_soft_targets_have_the_mean_of_the_shares():
    q = np.random.default_rng(2).dirichlet(np.ones(4), size=6)
    found = normalized_cross_entropy(Z, q, reduction="none")
    np.testing.assert_allclose(found, (q * SHARE).sum(axis=1), rtol=1e-12)


def test_the_passive_part_is_the_papers_mean_absolute_error_and_not_half_of_it():
    """Its code has 1 − p."""
    found = active_passive_loss(Z, Y, active_weight=0.0, passive_weight=1.0, reduction="none")
    np.testing.assert_allclose(found, np.abs(np.exp(LOG_P) - np.eye(4)[Y]).sum(axis=1), rtol=1e-12)


def test_reverse_cross_entropy_is_a_multiple_of_the_passive_part():
    """NCE+RCE with log 0 = A: −Σ p_c log t_c = |A| (1 − p_y)."""
    A = np.log(1e-4)
    reverse = -(np.exp(LOG_P) * np.where(np.eye(4)[Y] == 1, 0, A)).sum(axis=1)
    found = active_passive_loss(Z, Y, active_weight=2.0, passive_weight=3.0 * -A / 2, reduction="none")
    np.testing.assert_allclose(found, 2 * SHARE[ROWS, Y] + 3 * reverse, rtol=1e-12)


def test_a_confident_row_keeps_its_digits():
    z = np.array([[60.0, 0.0, -1.0]])
    own = np.exp(-60.0) * (1 + np.exp(-1.0))
    found = normalized_cross_entropy(z, np.array([0]))
    np.testing.assert_allclose(found, own / (60 + 61), rtol=1e-13)


@both
def test_a_class_axis_in_the_middle_and_options_of_the_transform(loss):
    z = np.random.default_rng(3).normal(size=(2, 4, 3))
    y = np.random.default_rng(4).integers(0, 4, size=(2, 3))
    bias = np.array([0.5, 0.0, -1.0, 2.0])
    found = loss(z, y, axis=1, temperature=2.0, softcap=3.0, logit_bias=bias, reduction="none")
    u = 3 * np.tanh(np.moveaxis(z, 1, -1) / 3) / 2 + bias
    np.testing.assert_allclose(found, loss(u, y, reduction="none"), rtol=1e-12)


@both
def test_a_single_class_costs_nothing(loss):
    torch = pytest.importorskip("torch")
    z = torch.zeros(2, 1, requires_grad=True)
    value = loss(z, torch.tensor([0, 0]))
    value.backward()
    assert float(value.detach()) == 0
    assert (z.grad == 0).all()


@both
def test_impossible_classes_give_the_limits_and_finite_gradients(loss):
    torch = pytest.importorskip("torch")
    z = torch.tensor([[0.0, -torch.inf, 1.0], [-torch.inf, 0.0, 1.0]], requires_grad=True)
    losses = loss(z, torch.tensor([0, 0]), reduction="none")
    passive = 2 * np.array([1 - 1 / (1 + np.e), 1.0]) * (loss is active_passive_loss)
    np.testing.assert_allclose(losses.detach(), np.array([0, 1]) + passive, rtol=1e-6)
    losses.sum().backward()
    assert torch.isfinite(z.grad).all()
    assert (z.grad[torch.isinf(z.detach())] == 0).all()


@both
def test_derivatives_of_both_orders(loss):
    torch = pytest.importorskip("torch")
    z, y = torch.tensor(Z, requires_grad=True), torch.tensor(Y)
    assert torch.autograd.gradcheck(lambda z: loss(z, y), z)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y), z)
    compiled = torch.func.grad(lambda z: loss(z, y))(z.detach())
    np.testing.assert_allclose(compiled, torch.autograd.grad(loss(z, y), z)[0], rtol=1e-12, atol=1e-15)


def test_targets_that_have_no_such_loss_are_refused():
    mask, soft = ce.targets.LabelSet(np.eye(4)[Y] == 1), np.full((6, 4), 0.25)
    with pytest.raises(ValueError, match="LabelSet"):
        normalized_cross_entropy(Z, mask)
    for labels in (mask, soft):
        with pytest.raises(ValueError, match="pass indices"):
            active_passive_loss(Z, labels)


@pytest.mark.parametrize("weights", [{"active_weight": -1.0}, {"passive_weight": float("nan")}])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ValueError, match=next(iter(weights))):
        active_passive_loss(Z, Y, **weights)


def test_probabilities_that_do_not_sum_to_one_and_labels_outside_are_refused():
    with pytest.raises(ValueError, match="sum to"):
        normalized_cross_entropy(Z, np.full((6, 4), 0.3))
    with pytest.raises(ValueError, match=r"outside \[0, 4\)"):
        normalized_cross_entropy(Z, Y + 1)
