r"""
CTC: labels without places
==========================

A recording has many more frames than its transcript has letters, and nobody has written down which frame belongs to
which letter. Connectionist temporal classification sums over all the ways: a path ``π`` names a letter or the blank in
each frame, and counts if it becomes the label ``y`` when repetitions are merged and blanks dropped,

.. math:: \ell = -\log \sum_{\pi:\, \mathrm{collapse}(\pi) = y} \; \prod_t p_t(\pi_t).

The sum has exponentially many terms and is computed in time proportional to frames × letters. It is a cross-entropy,
that of the whole label. A network that is trained by it is never told where the letters are, and finds their places all
the same. Between them it says "blank", and so tells "dd" from one long "d".
"""

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from crossentropy.losses import ctc_loss

plt.style.use(Path(__file__).with_name("house.mplstyle"))
BLANK, LETTERS = 0, "abcd"


def collapse(path):
    """Merge repetitions, then drop blanks."""
    return [int(c) for c, _ in itertools.groupby(path) if c != BLANK]


# %%
# The sum, path by path
# ---------------------
# Six frames, four letters and the blank: 15 625 paths, few enough to try them all.
torch.manual_seed(0)
logits = torch.randn(1, 6, 5, dtype=torch.float64)
p = torch.softmax(logits, dim=-1)[0].numpy()
label = [1, 2, 2]
paths = [path for path in itertools.product(range(5), repeat=6) if collapse(path) == label]
by_paths = -np.log(sum(np.prod(p[range(6), path]) for path in paths))
by_ctc = ctc_loss(logits, torch.tensor([label]), [6], [3]).item()
print(f"{len(paths)} paths spell abb; together {by_paths:.12f} nats; ctc_loss {by_ctc:.12f} nats")

# %%
# Speech-like recordings
# ----------------------
# Each letter sounds for two to five frames as a fixed pattern of eight numbers with noise, with silence of one to three
# frames around it. The labels are the letters in order, without their times.
rng = np.random.default_rng(0)
patterns = rng.normal(size=(5, 8))
patterns[BLANK] = 0.0
FRAMES, LONGEST = 50, 6


def record():
    """Frames, label, and what sounds in each frame, which is shown to nobody."""
    label, sounding = rng.integers(1, 5, rng.integers(2, LONGEST + 1)), []
    for letter in label:
        sounding += [BLANK] * rng.integers(1, 4) + [letter] * rng.integers(2, 6)
    sounding += [BLANK] * (FRAMES - len(sounding))
    return patterns[sounding] + rng.normal(0, 0.4, (FRAMES, 8)), label, np.array(sounding)


def batch(size):
    """Recordings as tensors; labels are padded behind with 0."""
    frames, labels, sounding = zip(*(record() for _ in range(size)), strict=True)
    padded = np.stack([np.pad(label, (0, LONGEST - len(label))) for label in labels])
    lengths = torch.tensor([len(label) for label in labels])
    return torch.tensor(np.stack(frames)).float(), torch.tensor(padded), lengths, np.stack(sounding)


# %%
# Training
# --------
# A convolution over five frames, and logits for each frame. No log-softmax: ``ctc_loss`` takes logits.
hear = torch.nn.Conv1d(8, 32, 5, padding=2)
spell = torch.nn.Conv1d(32, 5, 1)


def model(frames):
    """Logits (N, T, 5)."""
    return spell(torch.relu(hear(frames.mT))).mT


optimizer = torch.optim.Adam([*hear.parameters(), *spell.parameters()], lr=0.02)
losses = []
for _ in range(300):
    frames, labels, lengths, _ = batch(16)
    optimizer.zero_grad()
    loss = ctc_loss(model(frames), labels, [FRAMES] * 16, lengths)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

frames, labels, lengths, sounding = batch(200)
with torch.no_grad():
    probabilities = torch.softmax(model(frames), dim=-1).numpy()
best = probabilities.argmax(axis=-1)
exact = float(
    np.mean([collapse(b) == y[:n].tolist() for b, y, n in zip(best.tolist(), labels, lengths, strict=True)])
)
near = np.stack([np.roll(sounding, shift, axis=1) for shift in (-1, 0, 1)])
letters = best != BLANK
placed = float((near == best).any(axis=0)[letters].mean())
print(f"loss of a label: {losses[0]:.1f} nats at first, {np.mean(losses[-10:]):.2f} at the end")
print(f"{exact:.1%} of 200 new recordings are spelled without a fault")
print(f"{placed:.1%} of the frames that are called a letter are at most one frame from that letter's sound")

figure, (sound, heard) = plt.subplots(2, 1, figsize=(8.6, 4.4), sharex=True)
shown = int(lengths.argmax())
sound.imshow(frames[shown].numpy().T, aspect="auto")
sound.grid(visible=False)
sound.set(ylabel="sound", yticks=[])
sound.set_title("A recording: " + "".join(LETTERS[c - 1] for c in labels[shown][: lengths[shown]]))
heard.plot(probabilities[shown, :, BLANK], color="0.7", linestyle="-", label="blank")
for c, letter in enumerate(LETTERS, start=1):
    heard.plot(
        probabilities[shown, :, c], color=f"C{c}", linestyle=("-", "--", "-.", ":")[c - 1], label=letter
    )
    heard.fill_between(np.arange(FRAMES), -0.1, -0.03, where=sounding[shown] == c, color=f"C{c}", step="mid")
heard.set(
    xlabel="frame (bars below: where the letters were)",
    ylabel="probability",
    ylim=(-0.12, 1.3),
    yticks=(0, 0.5, 1),
)
heard.legend(ncols=5, loc="upper right")
plt.show()
