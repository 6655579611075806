r"""
Memory and time of the linear head
==================================

The last layer of a language model multiplies N hidden states with a matrix of V words, and cross-entropy needs N × V
logits. They are the largest array of the training step, and their gradient is as large again. But the loss needs only
the sum of each row and the logit of its label, and the gradients of the hidden states and of the matrix are sums too.

``linear_cross_entropy`` computes them a few hundred rows at a time and stores no logits. Its extra memory hardly
changes as the batch grows, where that of stored logits grows in proportion; ``memory_budget`` makes it smaller still.
Where the loss is one number, as here, the gradients are computed on the way, and nothing is computed twice.
"""

import re
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))
WORDS, WIDTH, ROWS = 16384, 32, (1024, 2048, 4096)


# %%
# Two ways to the same gradients
# ------------------------------
def stored(hidden, weight, labels):
    """PyTorch's loss of logits that are stored."""
    return torch.nn.functional.cross_entropy(hidden @ weight.T, labels)


WAYS = {"crossentropy": ce.linear_cross_entropy, "stored logits": stored}


# %%
# The most memory of a step is the high-water mark that Linux keeps for a process: set back before the step, read after
# it. Other systems have no such mark.
def resident(field):
    """``VmRSS``, memory in use, or ``VmHWM``, the most that was, in MiB."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def measure(loss, rows):
    """Loss, gradients, seconds and MiB of one forward and backward pass."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, WIDTH, generator=generator).requires_grad_()
    weight = torch.randn(WORDS, WIDTH, generator=generator).requires_grad_()
    labels = torch.randint(WORDS, (rows,), generator=generator)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.perf_counter()
    value = loss(hidden, weight, labels)
    value.backward()
    seconds = time.perf_counter() - start
    return value.item(), (hidden.grad, weight.grad), seconds, resident("VmHWM") - before


# %%
# Growing batches
# ---------------
# A short step first, so that code and threads are there. Times on a busy machine vary; memory does not.
seconds, memory, results = {}, {}, {}
for name, loss in WAYS.items():
    measure(loss, 8)
    for rows in ROWS:
        value, gradients, took, most = measure(loss, rows)
        seconds.setdefault(name, []).append(took)
        memory.setdefault(name, []).append(most)
        results[name, rows] = value, gradients
        print(f"{name:14} N = {rows}: loss {value:.5f} nats, {took * 1000:6.0f} ms, {most:6.1f} MiB")

worst_difference = max(
    float((ours - theirs).abs().max() / theirs.abs().max())
    for rows in ROWS
    for ours, theirs in zip(results["crossentropy", rows][1], results["stored logits", rows][1], strict=True)
)
print(f"gradients differ by at most {worst_difference:.1e} of the largest one")

figure, (room, clock) = plt.subplots(1, 2)
for place, name in enumerate(WAYS):
    room.plot(ROWS, memory[name], marker="o", color=f"C{2 - place}", linestyle=("-", "--")[place], label=name)
    clock.plot(ROWS, seconds[name], marker="o", color=f"C{2 - place}", linestyle=("-", "--")[place])
room.plot(ROWS, np.array(ROWS) * WORDS * 4 / 2**20, color="0.6", linestyle=":", label="the logits alone")
room.set(
    xlabel="rows $N$, of 16384 words", ylabel="most memory of the step, MiB", title="Memory", ylim=(0, None)
)
room.legend()
clock.set(xlabel="rows $N$, of 16384 words", ylabel="seconds", title="Time", ylim=(0, None))
plt.show()
