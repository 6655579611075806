"""Losses of policies and preferences: their gradients are those of the papers, their means divide by rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, log_expit, log_softmax, softmax

import crossentropy as ce
from crossentropy.losses.reinforcement import behavior_cloning, dpo_loss, policy_gradient, ppo_loss
from crossentropy.losses.sequences import sequence_log_prob

RNG = np.random.default_rng(21)
LOGITS = 2 * RNG.normal(size=(6, 3))
ACTIONS = np.array([0, 2, 1, 1, 0, 2])
ADVANTAGES = np.array([1.5, -0.7, 0.2, -2.0, 0.9, 0.1])


def log_prob(logits=LOGITS):
    return log_softmax(logits, axis=1)[np.arange(6), ACTIONS]


def entropy(logits=LOGITS):
    log_p = log_softmax(logits, axis=1)
    return -np.sum(np.exp(log_p) * log_p, axis=1)


def same(found, expected, rtol=1e-13):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-15)


# -------------------------------------------------------------------------------------- policy gradient


def test_its_gradient_is_the_policy_gradient():
    """Averaged over the policy's own actions, that of minus the expected reward (Williams 1992)."""
    torch = pytest.importorskip("torch")
    rewards = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64, requires_grad=True)
    expected_reward = (torch.softmax(logits, dim=1) * rewards).sum()
    (expected,) = torch.autograd.grad(-expected_reward, logits)
    policy = torch.softmax(logits.detach(), dim=1)[0]
    found = torch.zeros_like(expected)
    for action in range(3):
        loss = policy_gradient(logits, torch.tensor([action]), rewards[action].reshape(1))
        found += policy[action] * torch.autograd.grad(loss, logits)[0]
    same(found, expected)


def test_numpy_has_its_gradient_too():
    value, gradient = ce.loss_and_gradient(policy_gradient, LOGITS, ACTIONS, ADVANTAGES, reduction="sum")
    same(value, np.sum(-ADVANTAGES * log_prob()))
    same(gradient, ADVANTAGES[:, None] * (softmax(LOGITS, axis=1) - np.eye(3)[ACTIONS]))


def test_a_mean_divides_by_rows_and_never_by_advantages():
    same(policy_gradient(LOGITS, ACTIONS, ADVANTAGES), np.mean(-ADVANTAGES * log_prob()))
    centered = ADVANTAGES - ADVANTAGES.mean()  # Σ Â = 0
    same(policy_gradient(LOGITS, ACTIONS, centered), np.mean(-centered * log_prob()))


def test_a_mask_leaves_rows_out_and_counts_as_asked():
    mask = np.array([1, 0, 1, 1, 0, 1])
    total = np.sum(mask * -ADVANTAGES * log_prob())
    spoilt = np.where(mask[:, None] == 1, LOGITS, np.nan), ACTIONS, np.where(mask == 1, ADVANTAGES, np.nan)
    same(policy_gradient(*spoilt, sample_weight=mask), total / 6)
    same(policy_gradient(*spoilt, sample_weight=mask, normalizer="weight"), total / 4)
    same(policy_gradient(*spoilt, sample_weight=mask, normalizer=2.0), total / 2)  # say, two episodes


def test_the_entropy_bonus_is_not_multiplied_by_the_advantage():
    found = policy_gradient(LOGITS, ACTIONS, ADVANTAGES, entropy_bonus=0.3, reduction="none")
    same(found, -ADVANTAGES * log_prob() - 0.3 * entropy())
    same(policy_gradient(LOGITS, ACTIONS, 0 * ADVANTAGES, entropy_bonus=0.3), -0.3 * entropy().mean())


def test_advantages_and_old_log_probabilities_are_constants():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    others = [torch.tensor(x, requires_grad=True) for x in (ADVANTAGES, log_prob())]
    policy_gradient(logits, torch.tensor(ACTIONS), others[0]).backward()
    ppo_loss(logits, torch.tensor(ACTIONS), *others).backward()
    assert logits.grad is not None
    assert all(x.grad is None for x in others)


def test_cloning_is_the_policy_gradient_of_equal_advantages():
    same(behavior_cloning(LOGITS, ACTIONS), policy_gradient(LOGITS, ACTIONS, np.ones(6)))


@pytest.mark.parametrize("loss", [policy_gradient, lambda *a, **k: ppo_loss(*a, log_prob(), **k)])
def test_what_cannot_be_meant_is_refused(loss):
    with pytest.raises(ValueError, match=r"advantages have shape \(6, 1\)"):
        loss(LOGITS, ACTIONS, ADVANTAGES[:, None])
    with pytest.raises(TypeError, match="as integers"):
        loss(LOGITS, softmax(LOGITS, axis=1), ADVANTAGES)
    with pytest.raises(TypeError, match="one action"):
        loss(LOGITS, ce.targets.Probabilities(softmax(LOGITS, axis=1)), ADVANTAGES)
    with pytest.raises(ValueError, match="action 3"):
        loss(LOGITS, ACTIONS + 1, ADVANTAGES)


# --------------------------------------------------------------------------------------------------- PPO


def test_where_the_policy_has_not_moved_ppo_has_the_policy_gradient():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    actions, advantages = torch.tensor(ACTIONS), torch.tensor(ADVANTAGES)
    found = ppo_loss(logits, actions, advantages, torch.tensor(log_prob()))
    same(float(found), -ADVANTAGES.mean())
    expected = policy_gradient(logits, actions, advantages)
    same(*(torch.autograd.grad(loss, logits)[0] for loss in (found, expected)))


def test_ppo_stops_only_where_going_on_would_look_better():
    """Schulman et al. 2017, figure 1: the objective is a lower bound, clipped on one side of each sign."""
    ratios = np.array([0.5, 0.5, 2.0, 2.0, 1.1, 0.9])
    advantages = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    _, gradient = ce.loss_and_gradient(
        ppo_loss, LOGITS, ACTIONS, advantages, log_prob() - np.log(ratios), reduction="sum"
    )
    stopped = [False, True, True, False, False, False]
    np.testing.assert_array_equal((gradient == 0).all(axis=1), stopped)
    expected = (ratios * advantages)[:, None] * (softmax(LOGITS, axis=1) - np.eye(3)[ACTIONS])
    same(gradient[~np.array(stopped)], expected[~np.array(stopped)])
    value = ppo_loss(LOGITS, ACTIONS, advantages, log_prob() - np.log(ratios), reduction="none")
    same(value, [-0.5, 0.8, -1.2, 2.0, -1.1, 0.9])


def test_ppo_of_token_sequences_divides_as_asked():
    logits, actions = LOGITS.reshape(2, 3, 3), ACTIONS.reshape(2, 3)
    advantages, old = ADVANTAGES.reshape(2, 3), log_prob().reshape(2, 3)
    mask = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    arguments = logits, actions, advantages, old
    by_token = -(mask * advantages).sum() / 4
    same(ppo_loss(*arguments, sample_weight=mask, normalizer="weight"), by_token)
    own = mask.sum(axis=1, keepdims=True)
    by_sequence = np.mean(-(mask * advantages / own).sum(axis=1))
    divisor = np.broadcast_to(2 * own, mask.shape)
    same(ppo_loss(*arguments, sample_weight=mask, normalizer=divisor), by_sequence)


def test_a_clip_of_nothing_is_refused():
    with pytest.raises(ValueError, match="clip is 0"):
        ppo_loss(LOGITS, ACTIONS, ADVANTAGES, log_prob(), clip=0)


# --------------------------------------------------------------------------------------------------- DPO

CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED = -20 + 5 * RNG.normal(size=(4, 6))
H = (CHOSEN - REJECTED) - (REF_CHOSEN - REF_REJECTED)


def test_dpo_is_the_papers_equation_7():
    found = dpo_loss(CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED, beta=0.3, reduction="none")
    same(found, -log_expit(0.3 * H))


def test_conservative_dpo_moves_the_whole_of_its_smoothing():
    arguments = CHOSEN, REJECTED, REF_CHOSEN, REF_REJECTED
    found = dpo_loss(*arguments, beta=0.3, label_smoothing=0.1, reduction="none")
    same(found, -0.9 * log_expit(0.3 * H) - 0.1 * log_expit(-0.3 * H))
    torch = pytest.importorskip("torch")
    # Mitchell 2023: the least is at h = logit(1 − ε)
    h = torch.tensor([np.log(9.0)], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    (slope,) = torch.autograd.grad(dpo_loss(h, zero, zero, zero, beta=1.0, label_smoothing=0.1), h)
    assert abs(float(slope)) < 1e-16


def test_the_gradient_of_dpo_is_larger_where_it_is_wrong():
    """Equation 8: β σ(−h), up for the chosen answer and down for the other."""
    torch = pytest.importorskip("torch")
    arguments = [torch.tensor(x, requires_grad=True) for x in (CHOSEN, REJECTED)]
    loss = dpo_loss(
        *arguments, torch.tensor(REF_CHOSEN), torch.tensor(REF_REJECTED), beta=0.3, reduction="sum"
    )
    up, down = torch.autograd.grad(loss, arguments)
    same(up, -0.3 * expit(-0.3 * H))
    same(down, 0.3 * expit(-0.3 * H))


def test_dpo_keeps_its_digits_at_both_ends():
    ends = np.array([-1e4, -40.0, 40.0, 80.0], dtype=np.float32)
    zero = np.zeros_like(ends)
    found = dpo_loss(ends, zero, zero, zero, beta=1.0, reduction="none")
    np.testing.assert_allclose(found, -log_expit(ends.astype(float)), rtol=2e-7)


def test_dpo_of_token_logits_is_a_composition():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(RNG.normal(size=(2, 5, 7)), requires_grad=True)
    chosen, rejected = torch.tensor(RNG.integers(0, 7, size=(2, 2, 5)))
    mask = torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 0]])

    def loss(z):
        own = [sequence_log_prob(z, y, mask, shift=1) for y in (chosen, rejected)]
        return dpo_loss(*own, own[0].detach() + 0.5, own[1].detach() - 0.5, beta=0.2)

    reference = [sequence_log_prob(logits, y, mask, shift=1).detach() for y in (chosen, rejected)]
    check = lambda z: dpo_loss(  # noqa: E731
        *(sequence_log_prob(z, y, mask, shift=1) for y in (chosen, rejected)), *reference, beta=0.2
    )
    assert float(loss(logits)) == pytest.approx(-log_expit(0.2 * -1.0), rel=1e-12)
    assert torch.autograd.gradcheck(check, logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0}, "beta is 0"),
        ({"label_smoothing": 0.6}, "from 0 to 1/2"),
        ({"reference_chosen": REF_CHOSEN[:, None]}, r"reference_chosen has shape \(6, 1\)"),
    ],
)
def test_dpo_refuses_what_cannot_be_meant(options, message):
    given = {
        "policy_chosen": CHOSEN,
        "policy_rejected": REJECTED,
        "reference_chosen": REF_CHOSEN,
        "reference_rejected": REF_REJECTED,
    }
    with pytest.raises(ValueError, match=message):
        dpo_loss(**(given | options))
