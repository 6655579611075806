r"""
Policies: cross-entropy with a reward
=====================================

A policy is a classifier of actions, and nobody knows the right label. The policy gradient takes the action that was
drawn as the label and weighs the row's cross-entropy by its advantage, how much better than expected it went on:

.. math:: \ell = -\frac 1 N \sum_t A_t \log \pi(a_t \mid s_t).

Rows with a positive advantage are learned, those with a negative one unlearned. The cross-entropy method needs no
gradient at all: it draws parameters from a normal distribution, keeps the best fifth, and moves the distribution to the
least cross-entropy with those. Both balance the pole of CartPole for all of the 500 steps that an episode lasts; an
untrained policy holds it for some 20.
"""

from pathlib import Path

import gymnasium
import matplotlib.pyplot as plt
import numpy as np
import torch

from crossentropy.cross_entropy_method import minimize
from crossentropy.losses import policy_gradient

plt.style.use(Path(__file__).with_name("house.mplstyle"))
STEPS = 500


def episodes(act, count, seed):
    """One episode of each of `count` carts: observations, actions, and which steps there were, (steps, carts)."""
    carts = gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point")
    seen, _ = carts.reset(seed=seed)
    running = np.ones(count, dtype=bool)
    observations, actions, alive = [], [], []
    while running.any() and len(alive) < STEPS:
        chosen = act(seen)
        observations.append(seen.copy())
        actions.append(chosen)
        alive.append(running)
        seen, _, terminated, truncated, _ = carts.step(chosen)
        running = running & ~(terminated | truncated)
    carts.close()
    return np.stack(observations), np.stack(actions), np.stack(alive)


# %%
# Policy gradient
# ---------------
# The advantage of a step is the discounted number of steps that followed, less its mean over the batch, in standard
# deviations. Updates of 24 carts each, until three in a row hold the pole for 490 steps; forty at most.
rng = np.random.default_rng(0)
torch.manual_seed(0)
policy = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.03)


def drawn(seen):
    """Actions drawn from the policy's softmax."""
    with torch.no_grad():
        logits = policy(torch.as_tensor(seen)).numpy()
    return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)


lengths = []
for update in range(40):
    observations, actions, alive = episodes(drawn, 24, seed=update)
    to_go, later = np.zeros(alive.shape), 0.0
    for t in reversed(range(len(alive))):
        later = alive[t] * (1 + 0.98 * later)
        to_go[t] = later
    advantage = (to_go[alive] - to_go[alive].mean()) / (to_go[alive].std() + 1e-6)
    optimizer.zero_grad()
    logits = policy(torch.as_tensor(observations[alive]))
    policy_gradient(logits, torch.as_tensor(actions[alive]), torch.as_tensor(advantage).float()).backward()
    optimizer.step()
    lengths.append(float(alive.sum(axis=0).mean()))
    if np.mean(lengths[-3:]) > 490:
        break
print(
    f"policy gradient: {lengths[0]:.0f} steps at first, {np.mean(lengths[-3:]):.0f} after {len(lengths)} updates"
)

# %%
# The cross-entropy method
# ------------------------
# Four numbers: push to the right if their product with the observation is positive. Each iteration draws 24 of them
# and balances one cart with each.


def negative_length(candidates):
    """Minus the steps that each candidate holds the pole, (candidates,)."""
    _, _, alive = episodes(
        lambda seen: (np.sum(seen * candidates, axis=1) > 0).astype(int), len(candidates), seed=0
    )
    return -alive.sum(axis=0)


found = minimize(negative_length, np.zeros(4), 1.0, samples=24, elite=0.2, iterations=8, seed=0)
_, _, alive = episodes(lambda seen: (seen @ found.mean > 0).astype(int), 24, seed=1)
held = float(alive.sum(axis=0).mean())
print(f"cross-entropy method: {held:.0f} steps on 24 new carts, with the weights {np.round(found.mean, 2)}")

figure, (gradient, search) = plt.subplots(1, 2, sharey=True)
gradient.plot(np.arange(1, len(lengths) + 1), lengths)
gradient.set(
    xlabel="update (24 carts each)", ylabel="steps until the pole falls", title="Policy gradient: mean"
)
best, worst_elite = ([-getattr(i, name) for i in found.history] for name in ("best", "threshold"))
search.plot(np.arange(1, 9), best, marker="o", label="best of 24 candidates")
search.plot(np.arange(1, 9), worst_elite, marker="o", label="worst of the elite")
search.axhline(held, color="C2", linestyle=":", label="mean of the distribution, new carts")
search.set(xlabel="iteration (24 carts each)", title="Cross-entropy method", ylim=(0, 520))
search.legend(loc="lower right")
plt.show()
