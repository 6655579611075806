r"""
A convolutional network, and the rows that own its loss
=======================================================

A convolution looks for the same small pattern everywhere in an image, so it needs few parameters and few examples. This
page trains one on 900 digits of 8 × 8 pixels, in a few seconds.

The mean of the loss hides who pays it. Here most test digits cost next to nothing, and a handful of images own half of
the whole loss: those are the ones to look at, for they are hard, or their labels are wrong. ``evaluate`` names them.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import crossentropy as ce
from crossentropy.torch import CrossEntropyLoss

plt.style.use(Path(__file__).with_name("house.mplstyle"))

images, digits = load_digits(return_X_y=True)
split = train_test_split(images / 16, digits, train_size=900, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8) for x in split[:2])
train_y, test_y = (torch.tensor(y) for y in split[2:])

# %%
# Training
# --------
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(96, 10),
)  # fmt: skip
criterion = CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
batch_loss, test_loss = [], []
for _ in range(12):
    for rows in torch.randperm(len(train_y)).split(60):
        optimizer.zero_grad()
        loss = criterion(model(train_x[rows]), train_y[rows])
        loss.backward()
        optimizer.step()
        batch_loss.append(loss.item())
    with torch.no_grad():
        logits = model(test_x)
    test_loss.append(criterion(logits, test_y).item())

# %%
# Scores, and who pays
# --------------------
result = ce.evaluation.evaluate(
    labels=test_y.numpy(), logits=logits.double().numpy(), classes=list(range(10)), worst=12
)
losses = ce.softmax_cross_entropy(logits.double(), test_y, reduction="none").numpy()
ordered = np.sort(losses)[::-1]
share = np.cumsum(ordered) / ordered.sum()
own_half = int(np.searchsorted(share, 0.5)) + 1
low, high = result.interval
print(f"log loss {result.log_loss:.4f} nats ({low:.4f} to {high:.4f}) = {result.log_loss_bits:.4f} bits")
print(
    f"accuracy {result.accuracy:.1%} on {result.n} digits; the median digit costs {np.median(losses):.1e} nats"
)
print(f"{own_half} of {result.n} digits own half of the loss")

figure = plt.figure(figsize=(9.4, 3.5))
left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
curve = left.subplots()
curve.plot(
    np.arange(1, len(batch_loss) + 1) / 15, batch_loss, color="0.7", linewidth=0.8, label="batch of 60"
)
curve.plot(
    np.arange(1, 13), test_loss, color="C2", linestyle="-", marker="o", markersize=4, label="test digits"
)
curve.axhline(np.log(10), color="C4", linestyle=":", label="ln 10")
curve.set(xlabel="epoch", ylabel="loss, nats", yscale="log", title="Training")
bits = curve.secondary_yaxis(
    "right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2))
)
bits.set_ylabel("bits")
curve.legend()
right.suptitle("The twelve costliest, in nats", x=0.02, ha="left", fontsize=10.5)
for axes, worst in zip(right.subplots(3, 4).flat, result.worst_rows, strict=True):
    row = worst["row"]
    axes.imshow(test_x[row, 0].numpy(), cmap="gray_r")
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    axes.set_title(
        f"{test_y[row]}, predicted {logits[row].argmax()}: {losses[row]:.1f}", fontsize=8, loc="center"
    )
plt.show()
