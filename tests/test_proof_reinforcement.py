"""Proof on a real task: CartPole is balanced by a policy gradient, and by the cross-entropy method.

Solved is a mean return of 475 over 100 episodes of the policy as it is trained, its actions drawn (Barto, Sutton,
Anderson 1983; the threshold is Gymnasium's for CartPole-v1).
"""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy.cross_entropy_method import minimize
from crossentropy.losses.reinforcement import policy_gradient
from sampling import full

gymnasium = pytest.importorskip("gymnasium")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 500
SOLVED = 475.0


def episodes(act, count: int, seed: int):
    """One episode of each of `count` carts: observations, actions and which steps there were, (steps, carts)."""
    carts = gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point")
    seen, _ = carts.reset(seed=seed)
    running = np.ones(count, dtype=bool)
    observations, actions, alive = [], [], []
    while running.any() and len(alive) < STEPS:
        chosen = act(seen)
        observations.append(seen.copy())
        actions.append(chosen)
        alive.append(running.copy())
        seen, _, terminated, truncated, _ = carts.step(chosen)
        running &= ~(terminated | truncated)
    carts.close()
    return np.stack(observations), np.stack(actions), np.stack(alive)


def sampled(policy, rng):
    """Actions drawn from a policy's softmax."""

    def act(seen):
        with torch.no_grad():
            logits = policy(torch.as_tensor(seen)).numpy()
        return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)

    return act


def returns_to_go(alive: np.ndarray, discount: float) -> np.ndarray:
    """What each step still brings: a reward of 1 a step, discounted."""
    ahead = np.zeros(alive.shape)
    later = np.zeros(alive.shape[1])
    for t in reversed(range(len(alive))):
        later = alive[t] * (1 + discount * later)
        ahead[t] = later
    return ahead


def train(seed: int, updates: int = 150):
    """A small network, trained until five batches of episodes in a row last."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    policy = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
    lengths: list[float] = []
    while len(lengths) < updates and (len(lengths) < 5 or np.mean(lengths[-5:]) < 498):
        seen, actions, alive = episodes(sampled(policy, rng), 24, seed=10_000 * seed + len(lengths))
        lengths.append(alive.sum(axis=0).mean())
        ahead = returns_to_go(alive, 0.99)
        loss = policy_gradient(
            policy(torch.as_tensor(seen)),
            torch.as_tensor(actions),
            torch.as_tensor((ahead - ahead[alive].mean()) / ahead[alive].std()),
            entropy_bonus=0.01,
            sample_weight=torch.as_tensor(alive),
            normalizer="weight",
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policy, rng


def linear(weights: np.ndarray):
    """Push to the side that a weighted sum of the observation points to; weights (4,), or a row for every cart."""
    return lambda seen: (np.sum(seen * weights, axis=1) > 0).astype(int)


@pytest.mark.parametrize("seed", [1, *full([0, 2])])
def test_the_policy_gradient_balances_the_pole(seed):
    policy, rng = train(seed)
    _, _, alive = episodes(sampled(policy, rng), 100, seed=999_000 + seed)
    assert alive.sum(axis=0).mean() >= SOLVED


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_cross_entropy_method_balances_the_pole(seed):
    starts = iter(range(1000 * seed, 1000 * seed + 1000))

    def failure(weights):
        """One episode of each candidate: how many steps short of all it fell."""
        _, _, alive = episodes(linear(weights), len(weights), seed=next(starts))
        return STEPS - alive.sum(axis=0)

    found = minimize(failure, np.zeros(4), 1.0, samples=50, elite=0.2, iterations=15, seed=seed)
    _, _, alive = episodes(linear(found.mean), 100, seed=999_000 + seed)
    assert alive.sum(axis=0).mean() >= SOLVED
