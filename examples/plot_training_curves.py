r"""
Learning rate, regularization, depth and width, seen in the loss
================================================================

The curve of the loss says which knob to turn. A learning rate that is too small falls slowly; one that is too large
jumps, and may end above :math:`\ln C`, the loss of knowing nothing about C classes. Training and held-out loss that
part mean that the network learns its rows by heart: weight decay holds it back.

More width and depth lower the training loss as far as one likes. What they do to the held-out loss is another matter,
and the log loss shows it more than the accuracy: it charges for being sure and wrong. Here 200 digits, a tenth of them
with wrong labels, are easily learned by heart.
"""

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

images, digits = load_digits(return_X_y=True)
split = train_test_split(images / 16, digits, train_size=200, test_size=500, stratify=digits, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, test_y = (torch.tensor(y) for y in split[2:])
train_y[::10] = (train_y[::10] + 1 + torch.arange(20) % 9) % 10
STEPS = 100


def train(*, learning_rate=0.01, weight_decay=0.0, depth=1, width=64):
    """Training and held-out loss before each step of AdamW, and the accuracy at the end."""
    torch.manual_seed(0)
    sizes = [64, *[width] * depth]
    layers = [m for a, b in itertools.pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    trained, held_out = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ce.softmax_cross_entropy(model(train_x), train_y)
        loss.backward()
        with torch.no_grad():
            logits = model(test_x)
        optimizer.step()
        trained.append(loss.item())
        held_out.append(ce.softmax_cross_entropy(logits, test_y).item())
    return np.array(trained), np.array(held_out), float((logits.argmax(dim=1) == test_y).float().mean())


# %%
# One knob at a time
# ------------------
# Steps of AdamW on all rows. The other knobs are at a learning rate of 0.01, no decay, one layer of 64.
KNOBS = {
    "learning_rate": (0.0003, 0.003, 0.03, 1.0),
    "weight_decay": (0.0, 3.0, 10.0, 30.0),
    "depth": (0, 1, 2, 4),
    "width": (8, 16, 64, 256),
}
runs = {}
for knob, values in KNOBS.items():
    for value in values:
        runs[knob, value] = train(**{knob: value})
        trained, held_out, accuracy = runs[knob, value]
        print(
            f"{knob} = {value}: training {trained[-1]:.3f}, held out {held_out[-1]:.3f} "
            f"(least {held_out.min():.3f}) nats, accuracy {accuracy:.1%}"
        )

figure, panels = plt.subplots(2, 2, figsize=(9.6, 6.6), sharex=True, sharey=True)
for axes, (knob, values) in zip(panels.flat, KNOBS.items(), strict=True):
    for place, value in enumerate(values):
        trained, held_out, _ = runs[knob, value]
        axes.plot(held_out, color=f"C{place}", linestyle="-", label=f"{value:g}")
        axes.plot(trained, color=f"C{place}", linestyle=":", linewidth=1.4)
    axes.axhline(np.log(10), color="0.6", linewidth=1, linestyle="-", zorder=0)
    axes.set(title=knob.replace("_", " ").capitalize(), yscale="log", ylim=(0.01, 30))
    axes.legend(ncols=4, fontsize=8.5, loc="lower left", handlelength=1.2, columnspacing=1)
for axes in panels[1]:
    axes.set_xlabel("step")
for axes in panels[:, 0]:
    axes.set_ylabel("loss, nats")
for axes in panels[:, 1]:
    bits = axes.secondary_yaxis(
        "right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2))
    )
    bits.set_ylabel("bits")
figure.suptitle("Solid: held out. Dotted: training. Gray: ln 10", fontsize=10)
plt.show()
