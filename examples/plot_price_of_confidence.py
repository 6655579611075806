r"""
The price of confidence
=======================

Cross-entropy charges a prediction :math:`-\ln p` for the probability ``p`` that it gave to what happened. Being sure
and right costs almost nothing; being sure and wrong has no upper limit, and each further unit of wrong margin costs one
more nat (1.44 bits).

With two classes and the margin :math:`m = z_y - z_{other}`, the loss is
:math:`\mathrm{softplus}(-m) = \ln(1 + e^{-m})`, and the label's logit is pulled up by :math:`\sigma(-m) = 1 - p`. Both
are small and positive for a confident row. The usual formulas find them as a difference of two nearly equal numbers,
and in float32 that difference is exactly 0 from a margin of 17 on. The row then teaches nothing.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# What a prediction pays
# ----------------------
# The first class is the label. A probability of one in a million for what then happened costs 13.8 nats, as much as
# 1375 rows that gave their label 99 %.
probabilities = np.array([0.999999, 0.99, 0.5, 0.01, 1e-6])
price = ce.log_loss(
    np.stack([probabilities, 1 - probabilities], axis=1), np.zeros(5, dtype=int), reduction="none"
)
for p, nats in zip(probabilities, price, strict=True):
    print(f"p = {p:<9g} loss = {nats:.6f} nats = {nats / np.log(2):.6f} bits")

# %%
# Loss and gradient against the margin
# ------------------------------------
# ``loss_and_gradient`` returns both. The pull is 1/2 where the model is undecided, and never exceeds 1: a row that is
# very wrong costs much, but does not pull much harder than one that is somewhat wrong.
margin = np.linspace(-10, 10, 401)
logits = np.stack([margin, np.zeros_like(margin)], axis=1)
labels = np.zeros(margin.shape, dtype=int)
loss = ce.softmax_cross_entropy(logits, labels, reduction="none")
_, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, logits, labels, reduction="sum")
pull = -gradient[:, 0]

figure, (cost, slope) = plt.subplots(1, 2)
cost.plot(margin, loss)
cost.set(xlabel="margin $z_y - z_{other}$", ylabel="loss, nats", title="What the row costs")
bits = cost.secondary_yaxis("right", functions=(lambda x: x / np.log(2), lambda x: x * np.log(2)))
bits.set_ylabel("bits")
slope.plot(margin, pull)
slope.set(
    xlabel="margin $z_y - z_{other}$", ylabel="$-\\partial$loss / $\\partial z_y$", title="How hard it pulls"
)
plt.show()

# %%
# How many digits float32 keeps
# -----------------------------
# The same logits in float32, by three ways: the logarithm of a softmax; ``torch.nn.functional.cross_entropy``, which
# subtracts the label's logit from the logsumexp; and this package, which leaves the label out of the sum. The truth is
# ``log1p(exp(-margin))`` in float64. 7.2 digits are what float32 can hold.
far = np.arange(1, 81, dtype=np.float32)
rows = torch.from_numpy(np.stack([far, np.zeros_like(far)], axis=1))
first = torch.zeros(len(far), dtype=torch.long)
by_formula = {
    "log of the softmax": -torch.log(torch.softmax(rows, dim=1)[:, 0]),
    "torch.nn.functional": torch.nn.functional.cross_entropy(rows, first, reduction="none"),
    "crossentropy": ce.softmax_cross_entropy(rows, first, reduction="none"),
}
truth = np.log1p(np.exp(-far.astype(float)))


def kept_digits(values):
    """How many decimal digits agree with the truth: 7.2 at most in float32, 0 for a loss of exactly 0."""
    error = np.abs(values.numpy() - truth) / truth
    return np.clip(-np.log10(np.maximum(error, 2.0**-24)), 0, None)


digits = {name: kept_digits(values) for name, values in by_formula.items()}
zero_from = {
    name: next((int(m) for m, x in zip(far, v, strict=True) if x == 0), None)
    for name, v in by_formula.items()
}
for name, kept in digits.items():
    print(f"{name:20} fewest digits {kept.min():.1f}; exactly 0 from a margin of {zero_from[name]}")

figure, axes = plt.subplots(figsize=(8.6, 3))
for (name, kept), color in zip(digits.items(), ("C1", "C2", "C0"), strict=True):
    axes.plot(far, kept, color=color, linestyle={"C1": ":", "C2": "--", "C0": "-"}[color], label=name)
axes.set(xlabel="margin $z_y - z_{other}$", ylabel="correct digits of the loss", ylim=(-0.2, 8))
axes.legend(loc="center right")
plt.show()
