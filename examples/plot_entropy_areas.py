r"""
Entropy, cross-entropy and divergence as areas
==============================================

What happens with probability :math:`p` and was predicted with probability :math:`q` is a surprise of
:math:`-\log q`. Drawn as a bar of width :math:`p` and height :math:`-\log q`, each outcome has an area, and all of them
together are the cross-entropy :math:`H(p, q) = -\sum p \log q`: the surprise to be expected by someone who believes
:math:`q` in a world of :math:`p`.

Who believes :math:`p` itself has bars of height :math:`-\log p`, and their area is the entropy :math:`H(p)`. No belief
has a smaller area. What lies between the two is the Kullback–Leibler divergence, the price of believing :math:`q`:

.. math:: H(p, q) = H(p) + \mathrm{KL}(p \,\|\, q), \qquad \mathrm{KL}(p \,\|\, q) = \sum p \log \frac pq \ge 0.

Training by cross-entropy therefore is training by the divergence: the labels' own entropy is a constant.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# A world and a belief
# --------------------
# The weather of a place, and what a visitor expects of it. Clouds and rain surprise the visitor less than the people of
# the place, who know that they are rare. The sun surprises the visitor more. On average over the weather that there is,
# the visitor pays more.
weather = ["sun", "cloud", "rain", "snow"]
p = np.array([0.5, 0.25, 0.125, 0.125])
q = np.array([0.125, 0.5, 0.25, 0.125])

entropy = ce.entropy(p, base=2)
cross_entropy = ce.cross_entropy(p, q, base=2)
divergence = ce.kl_divergence(p, q, base=2)
print(f"H(p) = {entropy:.4f} bits, H(p, q) = {cross_entropy:.4f} bits, KL(p‖q) = {divergence:.4f} bits")
print(f"KL(q‖p) = {ce.kl_divergence(q, p, base=2):.4f} bits: the divergence has a direction")

# %%
# The areas
# ---------
# The blue area is the entropy. Where the visitor is more surprised than necessary, the orange area is added to it;
# where less, as by clouds and rain, the hatched area is taken away. Orange less hatched is the divergence.
left = np.concatenate([[0.0], p.cumsum()[:-1]])
own, visitor = -np.log2(p), -np.log2(q)

figure, axes = plt.subplots(figsize=(8.6, 4.0))
axes.bar(left, np.minimum(own, visitor), p, align="edge", color="#0072b2", alpha=0.75, edgecolor="white")
more = visitor > own
axes.bar(
    left[more],
    (visitor - own)[more],
    p[more],
    bottom=own[more],
    align="edge",
    color="#d98200",
    edgecolor="white",
)
axes.bar(
    left[~more],
    (own - visitor)[~more],
    p[~more],
    bottom=visitor[~more],
    align="edge",
    color="#cfe3f1",
    edgecolor="#0072b2",
    hatch="//",
)
axes.stairs(visitor, np.append(left, 1.0), color="#333333", linewidth=2)
axes.text(0.25, 2.0, f"KL: +{p[0] * (visitor - own)[0]:.2f} bits", ha="center", va="center")
axes.text(0.25, 0.5, "H(p)", ha="center", va="center", color="white")
plain = {"facecolor": "#cfe3f1", "edgecolor": "none", "pad": 2}
axes.text(0.625, 1.5, f"−{p[1] * (own - visitor)[1]:.2f}", ha="center", va="center", bbox=plain)
axes.text(0.8125, 2.5, f"−{p[2] * (own - visitor)[2]:.3f}", ha="center", va="center", bbox=plain)
axes.text(0.25, 3.06, "$-\\log_2 q$: surprise of the visitor", ha="center", va="bottom")
axes.set(
    xlim=(0, 1),
    ylim=(0, 3.5),
    xlabel="probability p of the weather (widths)",
    ylabel="surprise, bits (heights)",
    title=f"Area under the line: H(p, q) = {cross_entropy:.3f} = {entropy:.3f} + {divergence:.3f} bits",
)
axes.set_xticks(left + p / 2, [f"{name}\n{share:g}" for name, share in zip(weather, p, strict=True)])
axes.grid(False)
plt.show()

# %%
# Every belief pays at least the entropy
# --------------------------------------
# With two outcomes a belief is one number. Its cross-entropy touches the entropy where the belief is right, and only
# there. It grows without a limit towards a belief that excludes what may happen, and the gradient with it: that is why
# a model trained by cross-entropy never learns to say "impossible" of something that it has seen.
belief = np.linspace(0.001, 0.999, 999)
figure, axes = plt.subplots(figsize=(8.6, 3.6))
for share, color in ((0.1, "#d98200"), (0.3, "#0072b2"), (0.5, "#009e73")):
    world = np.array([share, 1 - share])
    cost = ce.cross_entropy(np.broadcast_to(world, (999, 2)), np.stack([belief, 1 - belief], axis=1), base=2)
    least = ce.entropy(world, base=2)
    axes.plot(belief, cost, color=color, linestyle="-", label=f"p = {share}: at least {least:.3f} bits")
    axes.plot([share], [least], "o", color=color)
truth = np.linspace(0, 1, 501)
axes.plot(
    truth,
    ce.entropy(np.stack([truth, 1 - truth], axis=1), base=2),
    color="#333333",
    linestyle="--",
    label="H(p)",
)
axes.set(
    xlim=(0, 1),
    ylim=(0, 4),
    xlabel="belief q",
    ylabel="cross-entropy, bits",
    title="Cross-entropy of two outcomes: each curve touches the entropy at q = p",
)
axes.secondary_yaxis(
    "right", functions=(lambda bits: bits * np.log(2), lambda nats: nats / np.log(2))
).set_ylabel("nats")
axes.legend(loc="upper center")
plt.show()
