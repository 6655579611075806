"""`CrossEntropyClassifier.fit` on digits, beside the same network written by hand in PyTorch, and `MLPClassifier`.

OMP_NUM_THREADS=1 python benchmarks/estimator.py

Four fifths of the rows are trained on. The network has hidden layers of 256 and 128; batches have 64 rows, Adam has its
default step size, and there is no penalty. Times are of the processor's clock, so that other processes disturb less,
of one thread; sides take turns, and the ratio is the median of the turns' ratios, with quartiles.

The first table has the time of 20 epochs. By hand is the loop of a tutorial: `F.cross_entropy`, rows picked by a
shuffled index, Adam as it is by default, and as `fit` takes it, fused; nothing is measured. `fit` does more: it checks
its input, and measures the objective, the log loss and the accuracy of each epoch.

The second table has the time to a held-out log loss, the least that both sides reach in 60 epochs: for each side, the
time of a fit of as many epochs as it needs.
"""

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median, quantiles
from time import process_time

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from crossentropy.sklearn import CrossEntropyClassifier
from machine import description
from table import grid

EPOCHS, MOST_EPOCHS = 20, 60
TURNS = 9
HIDDEN, BATCH = (256, 128), 64
GOAL = 1.5

pixels, digits = load_digits(return_X_y=True)
X, X_TEST, Y, Y_TEST = train_test_split(
    StandardScaler().fit_transform(pixels), digits, test_size=0.2, stratify=digits, random_state=0
)


def ours(epochs: int, **parameters: object) -> CrossEntropyClassifier:
    """The classifier, trained for so many epochs."""
    settings = {"weight_decay": 0, "batch_size": BATCH, "patience": epochs, "tol": 0, "random_state": 0}
    classifier = CrossEntropyClassifier(
        hidden=HIDDEN, epochs=epochs, early_stopping=False, **(settings | parameters)
    )
    return classifier.fit(X, Y)


def by_hand(epochs: int, fused: bool) -> nn.Module:
    """The same network in plain PyTorch."""
    inputs, labels = torch.from_numpy(np.float32(X)), torch.from_numpy(Y)
    network = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(network.parameters(), fused=fused or None)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            loss = F.cross_entropy(network(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def multilayer_perceptron(epochs: int) -> MLPClassifier:
    """scikit-learn's, trained for so many epochs."""
    return _perceptron(epochs).fit(X, Y)


def _perceptron(epochs: int) -> MLPClassifier:
    return MLPClassifier(
        HIDDEN, batch_size=BATCH, alpha=0, max_iter=epochs, n_iter_no_change=epochs, tol=0, random_state=0
    )


def held_out_losses() -> tuple[list[float], list[float]]:
    """Held-out log loss after each epoch, of scikit-learn's and of ours."""
    peer, theirs = _perceptron(1), []
    for _ in range(MOST_EPOCHS):
        peer.partial_fit(X, Y, classes=np.unique(Y))
        theirs.append(log_loss(Y_TEST, peer.predict_proba(X_TEST)))
    classifier = CrossEntropyClassifier(hidden=HIDDEN, weight_decay=0, batch_size=BATCH, random_state=0)
    mine = []
    for _ in range(MOST_EPOCHS):
        classifier.partial_fit(X, Y, classes=np.unique(Y))
        mine.append(log_loss(Y_TEST, classifier.predict_proba(X_TEST)))
    return theirs, mine


def turns(sides: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of the processor that each side takes, turn by turn."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS + 1):
        for name, side in sides.items():
            start = process_time()
            side()
            if turn:  # the first one warms up
                times[name].append(process_time() - start)
    return times


def row(name: str, peer: list[float], mine: list[float], goal: str) -> list[str]:
    """A line of a table."""
    ratios = [m / p for p, m in zip(peer, mine, strict=True)]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    seconds = f"{median(peer) * 1e3:.0f} ms", f"{median(mine) * 1e3:.0f} ms"
    return [name, *seconds, f"{median(ratios):.2f} ({low:.2f} to {high:.2f})", goal]


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    for what, said in description().items():
        print(f"{what}: {said}")
    sides = {"default": partial(by_hand, EPOCHS, False), "fused": partial(by_hand, EPOCHS, True)}
    times = turns(sides | {"ours": partial(ours, EPOCHS)})
    print(f"\n{EPOCHS} epochs of {len(Y)} rows\n")
    rows = [row(f"by hand, Adam {side}", times[side], times["ours"], f"≤ {GOAL}") for side in sides]
    print(grid(["", "peer", "ours", "ours ÷ peer", "goal"], rows, 1))

    theirs, mine = held_out_losses()
    target = max(min(theirs), min(mine))
    needed = [next(i for i, x in enumerate(losses, 1) if x <= target) for losses in (theirs, mine)]
    print(
        f"\nTo a held-out log loss of {target:.4f} nats: epochs {needed[0]} of scikit-learn's, {needed[1]} of ours\n"
    )
    times = turns({"peer": partial(multilayer_perceptron, needed[0]), "ours": partial(ours, needed[1])})
    print(
        grid(
            ["", "peer", "ours", "ours ÷ peer", "goal"],
            [row("MLPClassifier", times["peer"], times["ours"], "< 1")],
            1,
        )
    )


if __name__ == "__main__":
    main()
