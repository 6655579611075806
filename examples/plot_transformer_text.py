r"""
A small transformer, in bits per byte
=====================================

A language model is trained by the cross-entropy of the next token, and its score is the length of the message that an
arithmetic coder would make of a text: the sum of :math:`-\log_2 p(x_t \mid x_{<t})`, divided by the number of bytes of
the text. That number can be compared with any compressor, whatever the tokens are.

This page trains a transformer of two layers on bytes of Python's help pages, for less than a minute, and scores pages
that it has not seen, beside frequencies of single bytes and of pairs, and beside ``xz``. So little training is enough
to beat the frequencies, and not enough to beat ``xz``; ``crossentropy train-lm`` trains longer.
"""

import lzma
from pathlib import Path
from pydoc_data import topics

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import crossentropy as ce
from crossentropy.losses import linear_cross_entropy

plt.style.use(Path(__file__).with_name("house.mplstyle"))

pages = list(topics.topics.values())
train_text = "\n".join(pages[::2] + pages[1::4]).encode()
test_text = "\n".join(pages[3::4]).encode()[:24_000]
train_bytes, test_bytes = (torch.tensor(list(text)) for text in (train_text, test_text))
CONTEXT, WIDTH, STEPS = 64, 64, 400


# %%
# The model
# ---------
class Block(nn.Module):
    """Attention to the bytes before, then two layers for each byte."""

    def __init__(self):
        super().__init__()
        self.before_attention, self.before_layers = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.project, self.join = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.layers = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        query, key, value = (
            self.project(self.before_attention(x)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).flatten(2))
        return x + self.layers(self.before_layers(x))


class Transformer(nn.Module):
    """Hidden states of bytes; the embedding is also the linear head."""

    def __init__(self):
        super().__init__()
        self.embedding, self.place = nn.Embedding(256, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.norm = nn.Sequential(Block(), Block()), nn.LayerNorm(WIDTH)
        for table in (self.embedding, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.place.weight[: tokens.shape[1]]
        return self.norm(self.blocks(x))


# %%
# Training
# --------
# ``linear_cross_entropy`` takes the hidden states and the head; ``shift=1`` predicts the next byte.
torch.manual_seed(0)
model = Transformer()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
batch_bits = []
for _ in range(STEPS):
    starts = torch.randint(len(train_bytes) - CONTEXT, (12, 1))
    tokens = train_bytes[starts + torch.arange(CONTEXT)]
    optimizer.zero_grad()
    loss = linear_cross_entropy(model(tokens), model.embedding.weight, tokens, shift=1)
    loss.backward()
    optimizer.step()
    schedule.step()
    batch_bits.append(loss.item() / np.log(2))

# %%
# Scores
# ------
# Every test byte is predicted once, from at least half a window of bytes before it.
half = CONTEXT // 2
with torch.no_grad():
    windows = test_bytes.unfold(0, CONTEXT, half)
    each = linear_cross_entropy(model(windows), model.embedding.weight, windows, shift=1, reduction="none")
    model_bits = each[:, half - 1 :].mean().item() / np.log(2)

train_data, test_data = np.frombuffer(train_text, np.uint8), np.frombuffer(test_text, np.uint8)
single = np.bincount(train_data, minlength=256) + 0.1
single /= single.sum()
pairs = np.zeros((256, 256))
np.add.at(pairs, (train_data[:-1], train_data[1:]), 1)
pairs = (pairs + 2 * single) / (pairs.sum(axis=1, keepdims=True) + 2)
packed = len(lzma.compress(train_text + test_text)) - len(lzma.compress(train_text))
bits_per_byte = {
    "single bytes": float(ce.log_loss(np.tile(single, (len(test_data), 1)), test_data)) / np.log(2),
    "pairs of bytes": float(ce.log_loss(pairs[test_data[:-1]], test_data[1:])) / np.log(2),
    "transformer": model_bits,
    "xz, test text alone": 8 * len(lzma.compress(test_text)) / len(test_text),
    "xz after the training text": 8 * packed / len(test_text),
}
for name, bits in bits_per_byte.items():
    print(f"{name:27} {bits:.3f} bits per byte = {bits * np.log(2):.3f} nats")

# %%
# What it writes
# --------------
# Bytes drawn one at a time from the softmax at a temperature of 0.7.
text = list(b"The ")
with torch.no_grad():
    for _ in range(160):
        state = model(torch.tensor([text[-CONTEXT:]]))[0, -1]
        odds = torch.softmax(model.embedding.weight @ state / 0.7, dim=0)
        text.append(int(torch.multinomial(odds, 1)))
written = bytes(text).decode(errors="replace")
print(written)

figure, (training, scores) = plt.subplots(1, 2, figsize=(9.4, 3.4))
training.plot(batch_bits)
training.set(xlabel="step", ylabel="bits per byte", title="Training", ylim=(0, 9))
nats = training.secondary_yaxis(
    "right", functions=(lambda bits: bits * np.log(2), lambda nats: nats / np.log(2))
)
nats.set_ylabel("nats")
colors = ["C2" if name == "transformer" else "0.7" for name in bits_per_byte]
bars = scores.barh(list(bits_per_byte), list(bits_per_byte.values()), color=colors)
scores.bar_label(bars, fmt="%.2f", padding=4)
scores.invert_yaxis()
scores.grid(axis="y", visible=False)
scores.set(xlabel="bits per byte", title="Pages not trained on", xlim=(0, 6.2))
plt.show()
