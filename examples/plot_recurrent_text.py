r"""
A recurrent network, trained through time
=========================================

A recurrent network carries a state from letter to letter, :math:`h_t = f(h_{t-1}, x_t)`, and predicts the next letter
from it. The loss of a late letter depends on all earlier ones, so its gradient runs back through time. Truncation cuts
it: the state is carried on, but as a constant.

What the network remembers it must have been taught by a gradient that reached far enough. With a cut after every
letter it learns from what lies in the state by luck; with one after 16 letters, what to put there. This page trains the
same network three times, with the same text, steps and learning rate, and measures how far back a loss pulls. At first
the shortest reach learns the fastest; in the end it is behind. With so little training, a reach of four letters has all
of the gain.
"""

from pathlib import Path
from pydoc_data import topics

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import crossentropy as ce
from crossentropy.losses import sequence_cross_entropy

plt.style.use(Path(__file__).with_name("house.mplstyle"))
HIDDEN, WINDOW, ROWS, STEPS = 64, 16, 48, 160

# %%
# Letters of Python's help pages, in 48 rows that are read side by side; the last tenth of the text is held out.
text = "\n".join(topics.topics.values())
alphabet = sorted(set(text))
letters = torch.tensor([alphabet.index(c) for c in text])
cut = len(letters) * 9 // 10
train_rows = letters[: cut // ROWS * ROWS].view(ROWS, -1)
test_rows = letters[cut : cut + 16 * 500].view(16, 500)


class Network(nn.Module):
    """Logits of the next letter, and the state."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(alphabet), 32)
        self.recurrent = nn.GRU(32, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, len(alphabet))

    def forward(self, tokens, state=None):
        seen, state = self.recurrent(self.embedding(tokens), state)
        return self.head(seen), state


def train(reach):
    """A network whose gradient is cut after every `reach` letters, and its loss at each step, in bits."""
    torch.manual_seed(0)
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    state, bits = None, []
    for step in range(STEPS):
        window = train_rows[:, step * WINDOW : (step + 1) * WINDOW + 1]
        optimizer.zero_grad()
        logits = []
        for start in range(0, WINDOW, reach):
            state = None if state is None else state.detach()
            part, state = model(window[:, start : start + reach], state)
            logits.append(part)
        loss = sequence_cross_entropy(torch.cat(logits, dim=1), window[:, 1:])
        loss.backward()
        optimizer.step()
        bits.append(loss.item() / np.log(2))
    return model, bits


# %%
# Three truncations
# -----------------
curves, test_bits, models = {}, {}, {}
for reach in (1, 4, 16):
    models[reach], curves[reach] = train(reach)
    with torch.no_grad():
        logits, _ = models[reach](test_rows)
        test_bits[reach] = sequence_cross_entropy(logits, test_rows, shift=1).item() / np.log(2)
    print(f"gradient through {reach:2} letters: {test_bits[reach]:.3f} bits a letter on held-out text")
counts = np.bincount(train_rows.flatten(), minlength=len(alphabet)) + 0.5
single = float(ce.log_loss(np.tile(counts / counts.sum(), (8000, 1)), test_rows.flatten().numpy())) / np.log(
    2
)
print(f"frequencies of single letters: {single:.3f} bits a letter")


# %%
# How far back a loss pulls
# -------------------------
# The gradient of the loss of a letter, for the embedding of each of the 32 before it: the mean of its norm over 300
# places of the held-out text.
def pulls(model):
    """Norm of the gradient, by how many letters back."""
    windows = test_rows[:, :425].unfold(1, 49, 16).reshape(-1, 49)[:300]
    embedded = model.embedding(windows[:, :-1]).detach().requires_grad_()
    last = model.head(model.recurrent(embedded)[0][:, -1])
    ce.softmax_cross_entropy(last, windows[:, -1], reduction="sum").backward()
    return embedded.grad.norm(dim=2).mean(dim=0).flip(0)[:32].numpy()


reaching = {reach: pulls(model) for reach, model in models.items()}

figure, (curve, back) = plt.subplots(1, 2)
for place, reach in enumerate(curves):
    smooth = np.convolve(curves[reach], np.ones(9) / 9, mode="valid")
    curve.plot(np.arange(5, 5 + len(smooth)), smooth, color=f"C{place}", label=f"through {reach}")
    back.plot(np.arange(1, 33), reaching[reach], color=f"C{place}")
curve.axhline(single, color="0.6", linestyle=":", linewidth=1.4, label="single letters")
curve.set(xlabel="step (mean of nine)", ylabel="bits a letter", title="Training")
nats = curve.secondary_yaxis(
    "right", functions=(lambda bits: bits * np.log(2), lambda nats: nats / np.log(2))
)
nats.set_ylabel("nats")
curve.legend(title="gradient, letters")
back.set(xlabel="letters back", ylabel="norm of the gradient", yscale="log", title="How far a loss pulls")
plt.show()
