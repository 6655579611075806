r"""
A code that reaches the bound
=============================

Cross-entropy in bits is the length of a message. A code built for the distribution ``q`` spends
:math:`-\log_2 q(x)` bits on the symbol ``x``, so a text whose symbols have the frequencies ``p`` takes
:math:`H(p, q) = -\sum p \log_2 q` bits a symbol. That is least for ``q = p``, where it is the entropy ``H(p)``, and no
code of single letters is shorter. An arithmetic coder needs at most one bit more, for the whole text.

Coding with the wrong distribution costs :math:`H(p, q) - H(p) = \mathrm{KL}(p \,\|\, q)` more. This page codes real
text, the help pages that Python ships, decodes it again, and counts the bits.
"""

import heapq
import inspect
import itertools
from collections import Counter
from pathlib import Path
from pydoc_data import topics

import matplotlib.pyplot as plt
import numpy as np

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# A text, and four models of it: the frequencies of its own letters, those of a Python module, all letters alike, and
# pairs of letters (each letter given the one before), counted on other help pages. A model is a distribution in
# whole parts of 2¹⁶, no part empty, so that every letter has a code.
pages = "\n".join(topics.topics.values())
text, other_pages, module = pages[:8_000], pages[8_000:], inspect.getsource(inspect)
alphabet = sorted(set(pages + module))
index = {letter: i for i, letter in enumerate(alphabet)}
symbols = [index[letter] for letter in text]


def parts(counter):
    """The shares of the letters in 2**16 parts, at least one each."""
    counts = np.array([counter[letter] for letter in alphabet], dtype=float)
    shares = 1 + np.floor(counts / max(counts.sum(), 1) * (2**16 - len(alphabet))).astype(int)
    shares[shares.argmax()] += 2**16 - shares.sum()
    return shares


pairs = Counter(itertools.pairwise(other_pages))
after = [parts(Counter({b: n for (a, b), n in pairs.items() if a == letter})) for letter in alphabet]
one_for_all = {
    "the text's own letters": parts(Counter(text)),
    "letters of a Python module": parts(Counter(module)),
    "all letters alike": parts(Counter(alphabet)),
}
models = {name: [model] * len(text) for name, model in one_for_all.items()}
models["pairs of letters, other pages"] = [after[s] for s in [index["\n"], *symbols[:-1]]]

# %%
# An arithmetic coder
# -------------------
# Each letter narrows an interval to its share of it, and the message is the shortest binary number inside the last
# interval. Python's whole numbers have no limit, so this is exact.


def encode(symbols, models):
    """The message, and its length in bits."""
    low, width = 0, 1  # in units of 2**(−16 · letters so far)
    for s, model in zip(symbols, models, strict=True):
        low = (low << 16) + width * int(model[:s].sum())
        width *= int(model[s])
    unused = width.bit_length() - 1  # a multiple of 2**unused lies in the interval
    return -(-low >> unused), 16 * len(symbols) - unused


def decode(message, bits, models):
    """The symbols of a message."""
    width = 1 << 16 * len(models)
    value, symbols = message << 16 * len(models) - bits, []
    for model in models:
        ends = model.cumsum()
        s = int(np.searchsorted(ends, (value << 16) // width, side="right"))
        value -= (width >> 16) * int(ends[s] - model[s])
        width = (width >> 16) * int(model[s])
        symbols.append(s)
    return symbols


# %%
# Huffman's code
# --------------
# Join the two rarest groups of letters until one group is left; each joining adds a bit to the letters inside. Every
# letter takes a whole number of bits. So it is a code for the distribution ``2**-length``, not quite for ``q``, and
# where ``q`` is not the text's own it may happen to be the better code of the two.


def huffman_lengths(weights):
    """The number of bits of each letter's code."""
    lengths = np.zeros(len(weights), dtype=int)
    heap = [(int(weight), [i]) for i, weight in enumerate(weights)]
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[left + right] += 1
        heapq.heappush(heap, (a + b, left + right))
    return lengths


# %%
# Bits a letter: the bound, and what the codes took
# -------------------------------------------------
p = np.array([text.count(letter) for letter in alphabet]) / len(text)
entropy = float(ce.entropy(p, base=2))
bound, arithmetic, huffman, penalty = {}, {}, {}, {}
for name, model in one_for_all.items():
    q = model / 2**16
    bound[name] = float(ce.cross_entropy(p, q, base=2))
    penalty[name] = float(ce.kl_divergence(p, q, base=2))
    huffman[name] = float(p @ huffman_lengths(model))
given = np.stack(models["pairs of letters, other pages"]) / 2**16
bound["pairs of letters, other pages"] = float(ce.log_loss(given, np.array(symbols))) / np.log(2)

decoded = {}
for name, model in models.items():
    message, bits = encode(symbols, model)
    arithmetic[name] = bits / len(text)
    decoded[name] = "".join(alphabet[s] for s in decode(message, bits, model))
    print(f"{name:30} bound {bound[name]:.4f}  arithmetic {arithmetic[name]:.4f}  ", end="")
    print(f"Huffman {huffman[name]:.4f}  KL {penalty[name]:.4f}" if name in huffman else "")

figure, axes = plt.subplots(figsize=(8.6, 3.2))
rows = np.arange(len(bound))
axes.barh(rows - 0.19, list(arithmetic.values()), 0.36, color="C2", label="arithmetic code")
axes.barh(rows[: len(huffman)] + 0.19, list(huffman.values()), 0.36, color="C1", label="Huffman code")
axes.scatter(
    bound.values(), rows - 0.19, marker="|", s=260, color="C0", label="cross-entropy $H(p, q)$", zorder=3
)
axes.axvline(entropy, color="C4", linestyle=":", label=f"entropy of the letters, {entropy:.2f}")
axes.set_yticks(rows, list(bound))
axes.set(xlabel="bits a letter", xlim=(0, 10.8))
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.legend(loc="upper right")
plt.show()
