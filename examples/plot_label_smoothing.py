r"""
Label smoothing and calibration
===============================

Label smoothing trains on :math:`(1 - \varepsilon)\, t + \varepsilon / C` in place of the label :math:`t`. The least
loss is then reached at a finite margin, :math:`\ln\bigl((1 - \varepsilon)\, C / \varepsilon + 1\bigr)`, so a network
that could fit every label stops becoming ever surer.

Whether that helps depends on what the network was before. One that says 92 % and is right in 81 % of cases gains from
a little smoothing; with more, it says less than it knows, and its calibration error is larger than without any. A
temperature, fitted after the training on rows kept for it, repairs the log loss of both. This page measures it on few
digits with a tenth of the labels wrong: there the best pair is much smoothing and a temperature below one.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# 300 training digits; a tenth of all labels is replaced by a random digit, in training and in testing.
images, digits = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
digits = np.where(rng.random(len(digits)) < 0.1, rng.integers(0, 10, len(digits)), digits)
split = train_test_split(images / 16, digits, train_size=300, random_state=0)
train_x, rest_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, rest_y = (torch.tensor(y) for y in split[2:])
kept, test = slice(0, 300), slice(300, None)  # rows to fit a temperature on, and rows to test on


def train(label_smoothing, steps=120):
    """Logits of the rows that are not trained on."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        ce.softmax_cross_entropy(model(train_x), train_y, label_smoothing=label_smoothing).backward()
        optimizer.step()
    with torch.no_grad():
        return model(rest_x).double().numpy()


def score(logits, labels):
    """The evaluation of logits: log loss, calibration error, accuracy."""
    return ce.evaluation.evaluate(labels=labels, logits=logits, classes=list(range(10)))


# %%
# From none to much
# -----------------
labels = rest_y.numpy()
amounts = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
scores, tempered, confidence = {}, {}, {}
for amount in amounts:
    logits = train(amount)
    temperature = score(logits[kept], labels[kept]).temperature
    scores[amount] = score(logits[test], labels[test])
    tempered[amount] = score(logits[test] / temperature, labels[test])
    best = logits[test].max(axis=1, keepdims=True)
    confidence[amount] = float((1 / np.exp(logits[test] - best).sum(axis=1)).mean())
    print(
        f"ε = {amount:<4} log loss {scores[amount].log_loss:.3f} nats, confidence {confidence[amount]:.1%}, "
        f"accuracy {scores[amount].accuracy:.1%}, ECE {scores[amount].ece:.3f}; "
        f"with temperature {temperature:.2f}: {tempered[amount].log_loss:.3f} nats, ECE {tempered[amount].ece:.3f}"
    )

figure, (loss, error, diagram) = plt.subplots(1, 3, figsize=(10.6, 3.4))
for axes, values in ((loss, lambda s: s.log_loss), (error, lambda s: s.ece)):
    axes.plot(amounts, [values(scores[a]) for a in amounts], "o-", color="C0", label="as trained")
    axes.plot(amounts, [values(tempered[a]) for a in amounts], "s--", color="C2", label="with a temperature")
    axes.set_xlabel("label smoothing ε")
loss.set(ylabel="test log loss, nats", title="Log loss")
loss.legend()
bits = loss.secondary_yaxis("right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2)))
bits.set_ylabel("bits")
error.set(ylabel="expected calibration error", title="Calibration error", ylim=(0, None))
for amount, color, mark in ((0.0, "C0", "o-"), (0.1, "C1", "s--"), (0.5, "C3", "^-.")):
    bins = [b for b in scores[amount].reliability if b["weight"] >= 15]
    diagram.plot(
        [b["probability"] for b in bins],
        [b["frequency"] for b in bins],
        mark,
        color=color,
        label=f"ε = {amount:g}",
    )
diagram.axline((0, 0), slope=1, color="0.7", linewidth=1, zorder=0)
diagram.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right", title="Reliability")
diagram.legend(loc="lower left")
plt.show()
