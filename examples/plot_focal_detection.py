r"""
Detection: thousands of easy cells, and the focal loss
======================================================

A detector asks of every place in an image whether an object is there. Nearly all answers are "no", and at first they
own nearly the whole loss. Focal loss multiplies a cell's cross-entropy by the probability of the wrong answer to a
power,

.. math:: \ell = -\alpha\, t\, (1 - p)^{\gamma} \log p - (1 - \alpha)(1 - t)\, p^{\gamma} \log(1 - p),

so a cell that is right with 99 % counts :math:`10^{-4}` of before, at ``γ = 2``. This page looks for digits among their
own scrambled pixels. It also tries what costs nothing: to start the bias at the log-odds of the rare "yes". In a task
of this size that alone saves the first 60 steps, and focal loss is no better than cross-entropy.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from torch import nn

import crossentropy as ce
from crossentropy.losses import sigmoid_focal_loss

plt.style.use(Path(__file__).with_name("house.mplstyle"))
digits = load_digits().images / 16
rng = np.random.default_rng(0)


def scenes(count, pool):
    """Images of 40 × 40 with one or two digits among scrambled ones, and 17 × 17 cells: 1 where a digit begins."""
    images, cells = rng.normal(0, 0.1, (count, 40, 40)), np.zeros((count, 17, 17))
    for image, cell in zip(images, cells, strict=True):
        corners = rng.permutation(16)[:8]  # of a grid of 4 × 4, so that nothing overlaps
        objects = rng.integers(1, 3)
        for k, corner in enumerate(corners):
            row, column = (int(5 * place + rng.integers(0, 2)) for place in divmod(corner, 4))
            patch = digits[rng.choice(pool)]
            if k < objects:
                cell[row, column] = 1
            else:
                patch = rng.permutation(patch.ravel()).reshape(8, 8)
            image[2 * row : 2 * row + 8, 2 * column : 2 * column + 8] += patch
    return torch.tensor(images).float()[:, None], torch.tensor(cells).float()


train_images, train_cells = scenes(400, np.arange(1200))
test_images, test_cells = scenes(200, np.arange(1200, len(digits)))
share = train_cells.mean().item()
print(f"{share:.2%} of the training cells hold a digit")

# %%
# Four ways to train the same network
# -----------------------------------
# Sums over the cells, divided by the number of digits, as the paper has it.
LOSSES = {
    "cross-entropy": lambda z, t: ce.sigmoid_cross_entropy(z, t, normalizer=t.sum().item()),
    "focal": lambda z, t: sigmoid_focal_loss(z, t, normalizer=t.sum().item()),
}


def train(loss, start, steps=100):
    """Average precision on the test scenes after every 20 steps, and the last logits; `start` is the first bias."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 8, stride=2), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 1, 1)
    )
    nn.init.constant_(model[-1].bias, start)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    precision, first = [], None
    for step in range(1, steps + 1):
        rows = torch.randint(len(train_images), (16,))
        optimizer.zero_grad()
        value = loss(model(train_images[rows])[:, 0], train_cells[rows])
        value.backward()
        optimizer.step()
        first = value.item() if first is None else first
        if step % 20 == 0:
            with torch.no_grad():
                logits = model(test_images)[:, 0]
            precision.append(
                float(average_precision_score(test_cells.flatten().numpy(), logits.flatten().numpy()))
            )
    return precision, first, logits


prior = float(np.log(share / (1 - share)))
runs = {
    (name, begin): train(loss, bias)
    for name, loss in LOSSES.items()
    for begin, bias in (("bias 0", 0.0), ("bias of the prior", prior))
}
for (name, begin), (precision, first, _) in runs.items():
    print(f"{name:13} {begin:17} first loss {first:6.1f} nats a digit, average precision {precision[-1]:.3f}")

# %%
# Whose loss it is, at first
# --------------------------
# Before the first step all cells have nearly the same probability: one half, or the share of the digits. The share of
# the loss that the empty cells have:
owned = {}
for name, loss in (("cross-entropy", ce.sigmoid_cross_entropy), ("focal", sigmoid_focal_loss)):
    for begin, bias in (("bias 0", 0.0), ("bias of the prior", prior)):
        each = loss(torch.full_like(train_cells, bias), train_cells, reduction="none")
        owned[name, begin] = float(each[train_cells == 0].sum() / each.sum())
        print(f"{name:13} {begin:17} empty cells own {owned[name, begin]:.2%} of the loss")

figure, (scene, curve) = plt.subplots(1, 2, figsize=(9.4, 3.7), width_ratios=(1, 1.35))
scene.imshow(test_images[0, 0].numpy(), cmap="gray_r")
for row, column in test_cells[0].nonzero().tolist():
    scene.add_patch(
        plt.Rectangle((2 * column - 0.5, 2 * row - 0.5), 8, 8, fill=False, color="C1", linewidth=2.5)
    )
best = torch.sigmoid(runs["focal", "bias of the prior"][2][0]).flatten().topk(3)
for p, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
    row, column = divmod(place, 17)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    scene.annotate(f"{p:.0%}", (2 * column, 2 * row - 1), color="C2", fontweight="bold", bbox=box)
scene.set(title="A scene; box: digit; blue: three highest p", xticks=[], yticks=[])
scene.grid(visible=False)
for (name, begin), (precision, _, _) in runs.items():
    style = {
        "color": "C0" if name == "cross-entropy" else "C2",
        "linestyle": "--" if begin == "bias 0" else "-",
    }
    curve.plot(range(20, 101, 20), precision, marker="o", markersize=4, label=f"{name}, {begin}", **style)
curve.set(xlabel="step", ylabel="average precision, test scenes", title="Four ways to train", ylim=(0, 1))
curve.legend(loc="lower right")
plt.show()
