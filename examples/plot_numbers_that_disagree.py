r"""
Numbers that disagree
=====================

Five tools score the same 10 000 predictions and report five losses. None of them is broken. Three rows gave their label
a probability of exactly 0, for which :math:`-\ln 0 = \infty`, and each tool has its own way around that:

==================================  ==========================================  ===================
tool                                what it does                                a row of p = 0 costs
==================================  ==========================================  ===================
scikit-learn, float64               clips to the machine epsilon                36.04 nats
scikit-learn, float32               clips to that of float32                    15.94 nats
Kaggle's metric, Spark              clip to 1e-15                               34.54 nats
Keras                               clips to 1e-7                               16.12 nats
``torch.nn.BCELoss``                holds logarithms above −100                 100 nats
==================================  ==========================================  ===================

So the mean moves by the number of such rows times whatever constant the tool's author chose. This package returns
infinity, names the rows, and shows the whole ladder of clips; it reproduces the number of a given tool when asked to.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn.metrics
import torch

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# Predictions of a yes-or-no question: honest ones, but for three that were rounded to 0 and happened all the same.
rng = np.random.default_rng(0)
p = 1 / (1 + np.exp(-rng.normal(0, 2, 10_000)))
labels = (rng.random(10_000) < p).astype(int)
p[[17, 4242, 9001]], labels[[17, 4242, 9001]] = 0.0, 1


# %%
# What the tools say
# ------------------
def keras_loss(p, labels):
    """``keras.losses.binary_crossentropy``: probabilities clipped to [1e-7, 1 − 1e-7]."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean())


result = ce.evaluation.evaluate(labels=labels, proba=p, classes=[0, 1])
scores = {
    "scikit-learn, float64": float(sklearn.metrics.log_loss(labels, p)),
    "scikit-learn, float32": float(sklearn.metrics.log_loss(labels, p.astype(np.float32))),
    "Kaggle and Spark, 1e-15": ce.evaluation.evaluate(
        labels=labels, proba=p, classes=[0, 1], clip="spark"
    ).log_loss,
    "Keras, 1e-7": keras_loss(p, labels),
    "torch.nn.BCELoss": float(torch.nn.BCELoss()(torch.tensor(p), torch.tensor(labels, dtype=torch.float64))),
    "crossentropy": result.log_loss,
}
for name, score in scores.items():
    print(f"{name:24} {score:.6f} nats  {score / np.log(2):.6f} bits")

# %%
# Why
# ---
# Without the three rows, all agree to the digits of their clips: the disagreement is theirs alone.
print(
    f"{result.n_infinite} rows have an infinite loss; the worst rows are",
    [row["row"] for row in result.worst_rows[:3]],
)
keep = np.delete(np.arange(len(p)), [17, 4242, 9001])
without = {
    "scikit-learn, float64": float(sklearn.metrics.log_loss(labels[keep], p[keep])),
    "Keras, 1e-7": keras_loss(p[keep], labels[keep]),
    "crossentropy": ce.evaluation.evaluate(labels=labels[keep], proba=p[keep], classes=[0, 1]).log_loss,
}
for name, score in without.items():
    print(f"without them, {name:24} {score:.6f} nats")

# %%
# What a rare zero costs depends on the clip, over a factor of six. The remedy is not another clip, but a model that
# does not say "never": mixing in one part in ten thousand of a coin's probability makes the loss finite for good.
mixed = 0.9999 * p + 0.0001 * 0.5
mixed_loss = ce.evaluation.evaluate(labels=labels, proba=mixed, classes=[0, 1]).log_loss
print(f"mixed with 0.01 % of a coin: {mixed_loss:.6f} nats, by every tool")

figure, axes = plt.subplots(figsize=(8.6, 3.2))
base, finite = without["crossentropy"], [name for name in scores if np.isfinite(scores[name])]
end = max(scores[name] for name in finite) + 0.005
for row, name in enumerate(finite):
    axes.plot([base, scores[name]], [row, row], color="C1", linestyle="-", linewidth=5, solid_capstyle="butt")
    axes.plot(scores[name], row, "o", color="C0")
    axes.annotate(f"{scores[name]:.4f}", (scores[name], row), (8, -3.5), textcoords="offset points")
axes.plot([base, end], [5, 5], color="C1", linestyle="-", linewidth=5, solid_capstyle="butt")
axes.plot(end, 5, ">", color="C0", markersize=10, clip_on=False)
axes.annotate("∞, and names the rows 17, 4242 and 9001", (base, 5), (8, 6), textcoords="offset points")
axes.axvline(base, color="C2", linestyle="--")
axes.set_yticks(range(6), [*finite, "crossentropy"])
axes.set(
    xlabel="mean loss, nats (dashed: without the three rows)", xlim=(base - 0.001, end), ylim=(5.6, -0.6)
)
bits = axes.secondary_xaxis("top", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2)))
bits.set_xlabel("bits")
plt.show()
