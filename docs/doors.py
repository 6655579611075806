"""The pictures of the three doors on the front page, each drawn from the package: train, evaluate, understand."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from pictures import BLUE, COLORS, ORANGE

from crossentropy import links
from crossentropy.evaluation import evaluate

GRAY, PALE = "#8a939c", "#cfe3f1"


def train(axes: Axes) -> None:
    """Losses against the margin."""
    margin = np.linspace(-4, 4, 401)
    for color, link in zip(
        COLORS,
        (
            links.CrossEntropy(),
            links.Focal(2.0),
            links.PartiallyHuberized(2.0),
            links.GeneralizedCrossEntropy(0.7),
        ),
        strict=False,
    ):
        axes.plot(margin, link.loss(-margin), color=color, linewidth=3)
    axes.set(xlim=(-4, 4), ylim=(-0.1, 4))


def reliability(axes: Axes) -> None:
    """The reliability diagram of a forecast that is too sure."""
    draw = np.random.default_rng(0)
    truth = draw.beta(1.2, 1.2, 4000)
    labels = (draw.random(4000) < truth).astype(int)
    odds = (truth / (1 - truth)) ** 1.8
    bins = evaluate(labels=labels, proba=odds / (1 + odds), bins=10).reliability
    x, y = (np.array([row[name] for row in bins]) for name in ("probability", "frequency"))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=2, linestyle=":")
    axes.plot(x, y, color=BLUE, linewidth=3, marker="o", markersize=8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))


def areas(axes: Axes) -> None:
    """Cross-entropy as an area: the entropy, and what a wrong belief adds to it and takes from it."""
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.125, 0.25, 0.625])
    left, own, other = np.concatenate([[0.0], p.cumsum()[:-1]]), -np.log(p), -np.log(q)
    bars = {"align": "edge", "edgecolor": "white", "linewidth": 3}
    axes.bar(left, np.minimum(own, other), p, color=BLUE, **bars)
    axes.bar(left, np.maximum(other - own, 0), p, bottom=own, color=ORANGE, **bars)
    axes.bar(left, np.maximum(own - other, 0), p, bottom=other, color=PALE, **bars)
    axes.set(xlim=(0, 1), ylim=(0, 2.2))


DOORS = {"train": train, "evaluate": reliability, "understand": areas}


def draw_doors(folder: Path) -> None:
    """Every door, as ``folder/door_name.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DOORS.items():
        with plt.rc_context({"svg.hashsalt": name}):
            figure, axes = plt.subplots(figsize=(4.8, 3.0), layout="constrained")
            draw(axes)
            axes.set(xticks=[], yticks=[])
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set(color=GRAY, linewidth=2)
            figure.savefig(folder / f"door_{name}.svg", metadata={"Date": None})
            plt.close(figure)
