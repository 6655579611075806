r"""
Noisy labels: where robust losses win, and where they lose
==========================================================

A wrong label is a row that the model finds improbable, and cross-entropy pulls hardest at those. Robust losses bound
the price: mean absolute error charges :math:`1 - p`, generalized cross-entropy :math:`(1 - p^q) / q`, which is
cross-entropy at ``q → 0`` and mean absolute error at ``q = 1``. The pull of the first is :math:`p` times that of
cross-entropy, that of the second :math:`p^q` times: a row with a small ``p`` is given up.

That is also what a hard or unlearned row looks like. So mean absolute error learns slowly, stays far behind on clean
labels, and its probabilities are the worst of all. Forward correction multiplies the predicted probabilities by the
known matrix of errors before the logarithm. It starts as fast as cross-entropy and keeps more of its accuracy, but with
600 rows it too learns wrong labels by heart. On clean labels, nothing beats plain cross-entropy by more than chance.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce
from crossentropy import losses

plt.style.use(Path(__file__).with_name("house.mplstyle"))

images, digits = load_digits(return_X_y=True)
split = train_test_split(images / 16, digits, train_size=600, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, test_y = (torch.tensor(y) for y in split[2:])


def with_noise(labels, rate, seed):
    """A share of the labels replaced, each by one of the nine other digits."""
    rng = np.random.default_rng(seed)
    wrong = torch.tensor(rng.random(len(labels)) < rate)
    other = (labels + torch.tensor(rng.integers(1, 10, len(labels)))) % 10
    return torch.where(wrong, other, labels)


def candidates(rate):
    """The losses; only the last one is told the rate of errors."""
    transition = torch.full((10, 10), rate / 9).fill_diagonal_(1 - rate)
    return {
        "cross-entropy": ce.softmax_cross_entropy,
        "mean absolute error": losses.mean_absolute_error_loss,
        "generalized, q = 0.7": losses.generalized_cross_entropy,
        "symmetric": losses.symmetric_cross_entropy,
        "forward correction": lambda z, y: losses.forward_corrected_loss(z, y, transition=transition),
    }


def train(loss, labels, steps=120):
    """Logits of the test rows after ten steps and at the end: a perceptron with 64 hidden units, all rows a step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(steps):
        if step == 10:
            with torch.no_grad():
                early = model(test_x)
        optimizer.zero_grad()
        loss(model(train_x), labels).backward()
        optimizer.step()
    with torch.no_grad():
        return early, model(test_x)


def hit_rate(logits):
    """Share of the test rows whose most probable class is the true one."""
    return float((logits.argmax(dim=1) == test_y).float().mean())


# %%
# Training on wrong labels, testing on right ones
# -----------------------------------------------
# 120 steps are enough to learn many of the wrong labels by heart.
rates = (0.0, 0.3, 0.6)
accuracy, log_loss, early = {}, {}, {}
for rate in rates:
    labels = with_noise(train_y, rate, seed=1)
    for name, loss in candidates(rate).items():
        first, last = train(loss, labels)
        accuracy.setdefault(name, []).append(hit_rate(last))
        log_loss.setdefault(name, []).append(float(ce.softmax_cross_entropy(last, test_y)))
        early.setdefault(name, hit_rate(first))  # of the first rate, where no label is wrong

print("test accuracy      " + "".join(f"{rate:>9.0%}" for rate in rates) + "  of labels wrong")
for name, values in accuracy.items():
    print(f"{name:21}" + "".join(f"{value:9.1%}" for value in values))
print("test log loss, nats")
for name, values in log_loss.items():
    print(f"{name:21}" + "".join(f"{value:9.3f}" for value in values))

# %%
# What robustness costs
# ---------------------
# The same losses after ten steps, on clean labels: the bounded ones are behind, most of all mean absolute error, whose
# pull is weak while every ``p`` is still near 1/10.
for name, value in early.items():
    print(f"{name:21} accuracy after 10 steps on clean labels {value:.1%}")

figure, (hits, nats) = plt.subplots(1, 2, figsize=(9.4, 3.6))
for name, values in accuracy.items():
    hits.plot(rates, values, marker="o", markersize=4, label=name)
    nats.plot(rates, log_loss[name], marker="o", markersize=4, label=name)
hits.set(xlabel="share of training labels that are wrong", ylabel="test accuracy", title="Classes")
nats.set(
    xlabel="share of training labels that are wrong", ylabel="test log loss, nats", title="Probabilities"
)
bits = nats.secondary_yaxis("right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2)))
bits.set_ylabel("bits")
for axes in (hits, nats):
    axes.xaxis.set_major_formatter("{x:.0%}")
hits.yaxis.set_major_formatter("{x:.0%}")
hits.legend(loc="lower left")
plt.show()
