r"""
Adversaries: the saturating and the other loss
==============================================

A generator is to make what a discriminator takes for real. The discriminator is a classifier, trained by cross-entropy
on real against generated. In the minimax game the generator ascends the same loss, and descends
:math:`\log(1 - D) = \log \sigma(-g)`, where ``g`` is the discriminator's log-odds of "real". The slope of that is
:math:`-\sigma(g)`.

At first the discriminator wins easily: ``g`` is very negative, and the slope is nearly 0 exactly where the generator
has most to learn. Goodfellow et al. (2014) descend :math:`-\log \sigma(g)` instead, whose slope is
:math:`\sigma(g) - 1`: nearly −1 there. In this game only the second one gets to the real numbers. (It makes them less
varied than they are, a known weakness of the game that no choice of these two mends.)
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import crossentropy as ce
from crossentropy.losses import discriminator_loss, generator_loss

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# The two slopes
# --------------
log_odds = np.linspace(-12, 6, 181)
pull = {
    name: -ce.loss_and_gradient(
        lambda g, _, s=saturating: generator_loss(g, saturating=s, reduction="sum"), log_odds, np.zeros(181)
    )[1]
    for name, saturating in (("not saturating", False), ("saturating", True))
}

# %%
# A game on the line
# ------------------
# Real numbers are normal with mean 4 and standard deviation 1/2. The generator shifts and scales normal noise, and
# starts at a mean of −2. The discriminator is a small perceptron, and is trained for 60 steps before the game starts.


def play(saturating, rounds=250):
    """Mean and standard deviation of what is generated, after each round."""
    torch.manual_seed(0)
    discriminator = torch.nn.Sequential(torch.nn.Linear(1, 24), torch.nn.Tanh(), torch.nn.Linear(24, 1))
    mean, log_std = torch.tensor(-2.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)
    judge = torch.optim.Adam(discriminator.parameters(), lr=0.02)
    forge = torch.optim.SGD([mean, log_std], lr=0.1)
    history, odds = [], []
    for step in range(-60, rounds):
        real, noise = 4 + 0.5 * torch.randn(64, 1), torch.randn(64, 1)
        fake = mean + log_std.exp() * noise
        judge.zero_grad()
        discriminator_loss(discriminator(real), discriminator(fake.detach())).backward()
        judge.step()
        if step >= 0:
            forge.zero_grad()
            verdict = discriminator(fake)
            generator_loss(verdict, saturating=saturating).backward()
            forge.step()
            odds.append(verdict.mean().item())
            history.append((mean.item(), log_std.exp().item()))
    return np.array(history), np.array(odds)


games = {"not saturating": play(False), "saturating": play(True)}
for name, (history, odds) in games.items():
    print(f"{name:15} log-odds of real at first {odds[0]:.1f}; ", end="")
    print(f"in the end a mean of {history[-1, 0]:.2f} and a standard deviation of {history[-1, 1]:.2f}")

figure, (slope, place) = plt.subplots(1, 2)
for name, (history, _) in games.items():
    slope.plot(log_odds, pull[name], label=name)
    place.plot(history[:, 0], label=name)
slope.set(
    xlabel="log-odds $g$ that the fake is real", ylabel="pull on $g$", title="Slope of the generator's loss"
)
slope.legend()
place.axhline(4, color="0.6", linestyle=":", linewidth=1.5)
place.annotate("mean of the real numbers", (250, 4), (0, 4), textcoords="offset points", ha="right")
place.set(xlabel="round", ylabel="mean of the generated numbers", title="The game", ylim=(-3, 5.5))
plt.show()
