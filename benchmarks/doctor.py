"""What `crossentropy.doctor.watch` costs: the time of a training step, watched and not, in turn in one process.

Prints the least time of a block of steps, watched and not, in processor time of one thread, and their ratio. A busy
machine only adds to a time, so the least ones are compared.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from crossentropy import doctor

#: Rows, inputs, hidden units, classes.
CASES = ((64, 64, 64, 10), (256, 784, 512, 10), (64, 128, 256, 10_000))
STEPS, ROUNDS = 100, 15


def training(rows: int, inputs: int, hidden: int, classes: int) -> Callable[[], None]:
    model = nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(rows, inputs), torch.randint(classes, (rows,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(STEPS):
        step()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    print("| rows, inputs, hidden, classes | step, ms | watched, ms | ratio |\n|---|---|---|---|")
    for case in CASES:
        step = training(*case)
        bare, watched = [], []
        for _ in range(ROUNDS):
            bare.append(seconds(step))
            with doctor.watch(steps=STEPS + 1):
                watched.append(seconds(step))
        least, with_it = (1e3 * min(times) / STEPS for times in (bare, watched))
        print(f"| {case} | {least:.3f} | {with_it:.3f} | {with_it / least:.3f} |", flush=True)


if __name__ == "__main__":
    main()
