r"""
Sequences: shift, padding and means
===================================

A language model reads a text and predicts each next token. Three mistakes are easy to make and hard to see, for the
loss that they print looks better than the right one:

- **no shift**: the logits of step ``t`` are compared with the token that the model has just read. The model learns to
  copy, and the loss goes to 0;
- **padding that counts**: after the end of a short line comes padding, which is easy to predict. The loss falls with
  the share of padding;
- **means of means**: averaging the mean losses of several batches gives a token in a short batch a greater weight.

The loss that is meant is :math:`-\frac 1 N \sum m_t \log p_{t-1}(y_t)`, with a mask ``m`` of 1 on the real tokens and
their number ``N``. ``sequence_cross_entropy`` has an argument for each of the three.
"""

from pathlib import Path
from pydoc_data import topics

import matplotlib.pyplot as plt
import numpy as np
import torch

from crossentropy.losses import sequence_cross_entropy

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# Lines of Python's help pages, padded to 60 letters. Token 0 is the padding, token 1 begins each line.
lines = [line.strip() for line in "\n".join(topics.topics.values()).splitlines()]
lines = [line for line in lines if 2 <= len(line) < 60][:160]
alphabet = sorted(set("".join(lines)))
tokens = torch.zeros(len(lines), 60, dtype=torch.long)
for row, line in enumerate(lines):
    tokens[row, : len(line) + 1] = torch.tensor([1, *(2 + alphabet.index(letter) for letter in line)])
mask = (tokens != 0).float()
classes = 2 + len(alphabet)
print(f"{len(lines)} lines, {1 - mask.mean():.0%} of the places are padding")

# %%
# Three ways to train
# -------------------
# The model is a table: the logits of the next letter, given the one just read.
WAYS = {
    "right": {"mask": mask, "shift": 1},
    "padding counts": {"shift": 1},
    "no shift": {"mask": mask},
}


def train(steps=60, **options):
    """The reported loss and the right one at each step, and the table."""
    table = torch.zeros(classes, classes, requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=0.2)
    reported, right = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        logits = table[tokens]
        loss = sequence_cross_entropy(logits, tokens, **options)
        loss.backward()
        reported.append(loss.item())
        with torch.no_grad():
            right.append(sequence_cross_entropy(logits, tokens, mask=mask, shift=1).item())
        optimizer.step()
    return reported, right, table.detach()


results = {name: train(**options) for name, options in WAYS.items()}
for name, (reported, right, _) in results.items():
    print(f"{name:15} reports {reported[-1]:.3f} nats a token; the loss that is meant is {right[-1]:.3f}")

# %%
# Means of means
# --------------
# The lines in four batches, the short ones first, as happens when lines are sorted by length to save padding. The mean
# of the four means is not the mean over the tokens; with the number of all tokens as the normalizer, the sum is.
table = results["right"][2]
by_length = mask.sum(dim=1).argsort().split(40)
parts = [(table[tokens[rows]], tokens[rows], mask[rows]) for rows in by_length]
whole = sequence_cross_entropy(table[tokens], tokens, mask=mask, shift=1).item()
of_means = np.mean([sequence_cross_entropy(z, y, mask=m, shift=1).item() for z, y, m in parts])
count = mask[:, 1:].sum().item()
summed = sum(sequence_cross_entropy(z, y, mask=m, shift=1, normalizer=count).item() for z, y, m in parts)
print(
    f"mean over tokens {whole:.6f}, mean of means {of_means:.6f}, sum of parts over all tokens {summed:.6f} nats"
)

figure, (places, curves) = plt.subplots(1, 2, figsize=(10.4, 3.7), gridspec_kw={"width_ratios": [1.4, 1]})
shown = slice(0, 10)
each = sequence_cross_entropy(table[tokens[shown]], tokens[shown], shift=1, reduction="none")
each = np.where(mask[shown, 1:].numpy() > 0, each.numpy() / np.log(2), np.nan)
image = places.imshow(each, aspect="auto", vmin=0, vmax=10)
for row, line in enumerate(lines[shown]):
    for column, letter in enumerate(line[:40]):
        bright = each[row, column] > 5
        places.text(column, row, letter, ha="center", va="center", fontsize=7.5, color="k" if bright else "w")
places.set(title="Bits a letter; white: padding", xlabel="letter of the line", yticks=[], xlim=(-0.5, 39.5))
places.grid(visible=False)
figure.colorbar(image, ax=places, label="bits", pad=0.01)
for name, (reported, right, _) in results.items():
    (line,) = curves.plot(reported, label=f"{name}: reported")
    if name != "right":
        curves.plot(right, color=line.get_color(), linestyle=":", label="   what is meant")
curves.set(xlabel="step", ylabel="loss, nats a token", ylim=(0, 11.5))
bits = curves.secondary_yaxis(
    "right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2))
)
bits.set_ylabel("bits")
curves.legend(fontsize=8, ncols=2, loc="upper left")
plt.show()
