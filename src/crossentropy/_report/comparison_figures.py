"""The pictures of a comparison of models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crossentropy._report.sentences import short
from crossentropy._report.style import BLUE, INK, ORANGE, QUIET, new_figure, style

__all__ = ["draw_differences", "draw_murphy", "draw_parts"]

#: Letters of a model's name beside an axis.
LETTERS = 18


def draw_differences(differences: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the difference of each model to the reference with its interval; those that are beyond chance in orange."""
    with style():
        figure = new_figure(0.8 + 0.3 * len(differences))
        axes = figure.add_subplot()
        axes.axvline(0, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        for place, d in enumerate(differences):
            low, high = d["interval"]
            color = BLUE if low <= 0 <= high else ORANGE
            axes.plot([low, high], [place, place], color=color)
            axes.plot([d["difference"]], [place], "o", color=color, markersize=5)
        axes.set_yticks(range(len(differences)), [short(d["model"], LETTERS) for d in differences])
        axes.tick_params("y", length=0)
        axes.set(ylim=(len(differences) - 0.5, -0.5))
        axes.set_xlabel("log loss less that of the reference (nats)")
    return figure


def draw_parts(evaluations: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the miscalibration and the discrimination of each model."""
    with style():
        figure = new_figure(1.1 + 0.45 * len(evaluations))
        axes = figure.add_subplot()
        places = np.arange(len(evaluations))
        for shift, name, color in ((-0.18, "miscalibration", ORANGE), (0.18, "discrimination", BLUE)):
            axes.barh(places + shift, [e[name] for e in evaluations.values()], 0.32, color=color, label=name)
        axes.set_yticks(places, [short(model, LETTERS) for model in evaluations])
        axes.tick_params("y", length=0)
        axes.set(ylim=(len(evaluations) - 0.5, -0.5))
        axes.set_xlabel("nats")
        figure.legend(loc="outside upper left", ncols=2, handlelength=1, columnspacing=1.2)
    return figure


def draw_murphy(difference: Mapping[str, Any]) -> Figure:
    """Draw the mean elementary scores of a model and of the reference at each threshold."""
    curve = difference["murphy"]
    theta = [point["threshold"] for point in curve]
    with style():
        figure = new_figure(2.6)
        axes = figure.add_subplot()
        for which, color, dashes in (("reference", INK, (0, (4, 2))), ("model", BLUE, "solid")):
            name = short(difference[which], LETTERS)
            axes.plot(theta, [point[which] for point in curve], color=color, linestyle=dashes, label=name)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.set_xlabel("threshold")
        axes.set_ylabel("mean elementary score")
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.4, columnspacing=1.2)
    return figure
