r"""
Why not squared error
=====================

Squared error of probabilities, the Brier score, is a fair score of predictions, but a poor thing to descend. Where the
model is sure and wrong its gradient vanishes, so a network that starts on the wrong side stays there.

With :math:`p = \sigma(m)` for the label, squared error is :math:`(1 - p)^2` and its slope
:math:`-2 (1 - p)^2 p`: as the margin :math:`m` falls, it dies like :math:`e^{m}`. The slope of cross-entropy is
:math:`-(1 - p)`, and tends to −1. That strength is a weakness where labels are wrong. A point far on the wrong side
pulls cross-entropy and hinge loss with full strength, and squared error not at all. And the hinge loss, which is
content with a margin of one, learns random labels by heart more slowly.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce
from crossentropy.losses import brier_loss, hinge_loss, softmax_cross_entropy

plt.style.use(Path(__file__).with_name("house.mplstyle"))
LOSSES = {"cross-entropy": softmax_cross_entropy, "squared error": brier_loss, "hinge": hinge_loss}

# %%
# Three slopes
# ------------
# Of two classes, the first is the label. (``brier_loss`` adds the squares of both classes: twice the formula above.)
margin = np.linspace(-12, 6, 361)
logits = np.stack([margin, np.zeros_like(margin)], axis=1)
labels = np.zeros(margin.shape, dtype=int)
pull = {
    name: -ce.loss_and_gradient(loss, logits, labels, reduction="sum")[1][:, 0]
    for name, loss in LOSSES.items()
}
for name, values in pull.items():
    print(f"pull at a margin of −12 by {name}: {values[0]:.2g}")

# %%
# The same network, the same bad start
# ------------------------------------
# The digits, and a perceptron whose last layer starts with a bias of 12 for the digit 0: it is sure, and mostly wrong.
# Gradient descent at a learning rate of 0.2, with momentum.
images, digits = load_digits(return_X_y=True)
split = train_test_split(images / 16, digits, train_size=600, test_size=500, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, test_y = (torch.tensor(y) for y in split[2:])


def train(loss, labels, optimizer, *, start_bias=0.0, steps=200, **options):
    """Accuracy on the test rows after every fifth step, all training rows a step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10))
    with torch.no_grad():
        model[2].bias[0] += start_bias
    optimizer = optimizer(model.parameters(), **options)
    accuracy = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss(model(train_x), labels).backward()
        optimizer.step()
        if step % 5 == 0:
            with torch.no_grad():
                accuracy.append(float((model(test_x).argmax(dim=1) == test_y).float().mean()))
    return np.array(accuracy)


curves = {
    name: train(loss, train_y, torch.optim.SGD, lr=0.2, momentum=0.9, start_bias=12.0)
    for name, loss in LOSSES.items()
}
for name, accuracy in curves.items():
    print(f"bad start, {name:14} accuracy after 100 steps {accuracy[19]:.1%}, after 200 {accuracy[-1]:.1%}")

# %%
# When squared error is better: far outliers
# ------------------------------------------
# Two clouds of points, a straight boundary, and 15 points far away that have the wrong label. To make them less wrong,
# cross-entropy turns the boundary of all others; squared error gives them up.
rng = np.random.default_rng(0)
clouds = [rng.normal(center, 1, (n, 2)) for center, n in (((-1.5, 0), 150), ((1.5, 0), 150), ((8, 8), 15))]
points, kinds = torch.tensor(np.concatenate(clouds)).float(), torch.tensor([0] * 150 + [1] * 150 + [0] * 15)
boundaries, right = {}, {}
for name, loss in LOSSES.items():
    torch.manual_seed(0)
    line = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(line.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss(line(points), kinds).backward()
        optimizer.step()
    right[name] = float((line(points[:300]).argmax(dim=1) == kinds[:300]).float().mean())
    boundaries[name] = torch.cat([line.weight.diff(dim=0)[0], line.bias.diff()]).tolist()
    print(f"far outliers, {name:14} {right[name]:.1%} of the 300 others are right")

# %%
# When hinge is better: random labels
# -----------------------------------
# The digits again, from an ordinary start, by Adam, with two labels in five replaced by a random digit. All three
# losses learn wrong labels by heart, hinge the slowest. (Stopped early, squared error is ahead of the other two.)
noisy_y = train_y.clone()
generator = torch.Generator().manual_seed(1)
wrong = torch.rand(len(noisy_y), generator=generator) < 0.4
noisy_y[wrong] = torch.randint(10, (int(wrong.sum()),), generator=generator)
noisy = {name: train(loss, noisy_y, torch.optim.Adam, lr=0.02) for name, loss in LOSSES.items()}
for name, accuracy in noisy.items():
    print(f"noisy labels, {name:14} best accuracy {accuracy.max():.1%}, after 200 steps {accuracy[-1]:.1%}")

figure, ((slope, start), (plane, end)) = plt.subplots(2, 2, figsize=(9.4, 7))
for place, name in enumerate(LOSSES):
    slope.plot(margin, pull[name], label=name)
    start.plot(np.arange(5, 201, 5), curves[name], label=name)
    end.plot(np.arange(5, 201, 5), noisy[name], label=name)
    a, b, c = boundaries[name]
    plane.axline((-c / a, 0), slope=-a / b, color=f"C{place}", linestyle=("-", "-", "--")[place])
slope.set(xlabel="margin $z_y - z_{other}$", ylabel="pull on the label's logit", title="Slope of the loss")
start.set(xlabel="step", ylabel="test accuracy", title="A start that is sure and wrong", ylim=(0, 1))
end.set(xlabel="step", ylabel="test accuracy", title="Two labels in five random", ylim=(0, 1))
end.legend(loc="lower right")
for kind, mark in ((0, "o"), (1, "^")):
    plane.plot(*points[kinds == kind].numpy().T, mark, color=("C5", "C3")[kind], markersize=4, alpha=0.6)
plane.annotate("wrong labels", (8, 4.2), ha="center", va="top")
plane.set(xlim=(-5, 11), ylim=(-5, 11), title="Far outliers: boundaries", xlabel="$x_1$", ylabel="$x_2$")
plt.show()
