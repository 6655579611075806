r"""
Rare classes: what each remedy does to recall and to calibration
================================================================

With two frauds in a hundred payments, a model trained by plain cross-entropy rarely says "fraud": its probabilities are
right, and few of them exceed one half. The usual remedies raise the recall at that threshold. This page measures what
they do to everything else.

:math:`\ln w` raises the log-odds of every prediction: that is what a logit adjustment does, and roughly what a weight
:math:`w` on the rare class does. The probabilities are then several times too high, and the log loss is worse than that
of the plain model. A weight also makes the fit hang on the few rare rows, so that even the order of the rows gets
worse. The same recall is had from the plain model by asking for less than one half: at the threshold
:math:`1 / (1 + w)`, or wherever the costs of the two errors say.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

import crossentropy as ce
from crossentropy import losses

plt.style.use(Path(__file__).with_name("house.mplstyle"))

features, labels = make_classification(
    12_000, n_features=12, n_informative=6, n_clusters_per_class=2, weights=[0.98], class_sep=1.5, flip_y=0.005,
    random_state=3,
)  # fmt: skip
split = train_test_split(features, labels, test_size=6000, stratify=labels, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, test_y = torch.tensor(split[2]), split[3]
counts = torch.bincount(train_y)

# %%
# The remedies
# ------------
# Weights in inverse proportion to the classes' frequencies; the class-balanced weights of Cui et al. 2019; logit
# adjustment (Menon et al. 2021), which adds the log-frequencies to the logits while training; and focal loss, which
# makes all probabilities less extreme.
REMEDIES = {
    "plain": ce.softmax_cross_entropy,
    "balanced weights": lambda z, y: ce.softmax_cross_entropy(
        z, y, class_weight=losses.balanced_weights(counts)
    ),
    "class-balanced": lambda z, y: ce.softmax_cross_entropy(
        z, y, class_weight=losses.class_balanced_weights(counts)
    ),
    "logit adjustment": lambda z, y: ce.softmax_cross_entropy(
        z, y, logit_bias=losses.logit_adjustment(counts)
    ),
    "focal, γ = 2": losses.focal_loss,
}


def train(loss, steps=200):
    """Probability of the rare class for the test rows: a perceptron with six hidden units, all rows a step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(train_x), train_y).backward()
        optimizer.step()
    with torch.no_grad():
        return torch.softmax(model(test_x), dim=1)[:, 1].double().numpy()


def recall_and_precision(p, threshold):
    """Of the rare rows, the share found; of the rows found, the share that is rare."""
    found = p >= threshold
    return float(found[test_y == 1].mean()), float(test_y[found].mean()) if found.any() else float("nan")


predictions = {name: train(loss) for name, loss in REMEDIES.items()}
ratio = float(counts[0] / counts[1])
table = {}
for name, p in predictions.items():
    scored = ce.evaluation.evaluate(labels=test_y, proba=p, classes=[0, 1])
    recall, precision = recall_and_precision(p, 0.5)
    table[name] = {
        "recall": recall, "precision": precision, "AP": float(average_precision_score(test_y, p)),
        "log loss": scored.log_loss, "mean p": float(p.mean()),
    }  # fmt: skip
moved_recall, moved_precision = recall_and_precision(predictions["plain"], 1 / (1 + ratio))

print(f"{'':18}" + "".join(f"{column:>11}" for column in table["plain"]))
for name, row in table.items():
    print(f"{name:18}" + "".join(f"{value:11.3f}" for value in row.values()))
print(f"plain, threshold {1 / (1 + ratio):.3f}: recall {moved_recall:.3f}, precision {moved_precision:.3f}")
share = test_y.mean()
print(f"share of rare rows: {share:.3f}; its entropy: {float(ce.entropy([1 - share, share])):.3f} nats")

# %%
# Undoing a weight
# ----------------
# Taking ``ln w`` off the log-odds of the adjusted model gives its calibration back. That is what logit adjustment is: a
# detour in training, whose return ticket is kept.
adjusted = predictions["logit adjustment"]
log_odds = np.log(adjusted) - np.log1p(-adjusted) - np.log(ratio)
undone = ce.evaluation.evaluate(labels=test_y, logits=log_odds, classes=[0, 1]).log_loss
print(
    f"log loss of logit adjustment {table['logit adjustment']['log loss']:.3f} nats, with ln w taken off {undone:.3f}"
)

figure, (recalls, calibration) = plt.subplots(1, 2, figsize=(9.6, 3.6))
order = {name: np.argsort(-p) for name, p in predictions.items()}
for place, name in enumerate(("plain", "balanced weights", "logit adjustment", "focal, γ = 2")):
    p, color = predictions[name], f"C{place}"
    hits = np.cumsum(test_y[order[name]])
    recalls.plot(hits / test_y.sum(), hits / np.arange(1, len(hits) + 1), label=name)
    recalls.plot(table[name]["recall"], table[name]["precision"], "o", color=color, markersize=8)
    bins = np.array_split(np.argsort(p), 6)
    shares = [max(test_y[b].mean(), 5e-4) for b in bins]
    calibration.plot([p[b].mean() for b in bins], shares, marker="o", markersize=4)
recalls.plot(
    moved_recall,
    moved_precision,
    "s",
    color="C0",
    markersize=8,
    label=f"plain, threshold {1 / (1 + ratio):.2f}",
)
recalls.set(xlabel="recall", ylabel="precision", title="Dots: the threshold one half", ylim=(0, 1.03))
recalls.legend(loc="lower left", fontsize=8.5)
calibration.axline((1e-3, 1e-3), (1, 1), color="0.7", linewidth=1, zorder=0)
calibration.set(
    xscale="log", yscale="log", xlim=(3e-4, 1.2), ylim=(3e-4, 1.2), xlabel="predicted probability",
    ylabel="share that is rare", title="Sixths of the rows; gray: calibrated",
)  # fmt: skip
plt.show()
