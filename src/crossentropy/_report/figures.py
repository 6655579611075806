"""The pictures of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossentropy._report.sentences import event_of, short
from crossentropy._report.style import BLUE, GRID, ORANGE, PALE, QUIET, new_figure, style

__all__ = ["draw_class_reliability", "draw_decomposition", "draw_reliability"]


def draw_decomposition(result: Mapping[str, Any]) -> Figure:
    """Draw the log loss beside that of the base rates, divided into what calibration would save and what is left."""
    loss, miscalibration, uncertainty = (result[x] for x in ("log_loss", "miscalibration", "uncertainty"))
    left = loss - miscalibration
    with style():
        figure = new_figure(1.75)
        axes = figure.add_subplot()
        axes.barh([1], [uncertainty], color=GRID, height=0.6)
        axes.barh([0], [left], color=BLUE, height=0.6, label=f"left if calibrated {left:.3g}")
        axes.barh(
            [0],
            [miscalibration],
            left=[left],
            color=ORANGE,
            height=0.6,
            label=f"miscalibration {miscalibration:.3g}",
        )
        axes.set_yticks([0, 1], ["predictions", "base rates"])
        axes.tick_params("y", length=0)
        axes.set_xlabel("log loss (nats)")
        axes.set_xlim(0, max(loss, uncertainty) * 1.02 or 1)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1, columnspacing=1.2)
    return figure


def draw_reliability(result: Mapping[str, Any]) -> Figure:
    """Draw the calibration curve with its consistency band, above the distribution of the predictions."""
    event = event_of(result)
    with style():
        figure = new_figure(4.6)
        curve, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        _draw_curve(curve, result["calibration_curve"], result["consistency_band"], result["confidence"])
        curve.set_ylabel(f"frequency of {event}")
        _draw_histogram(below, result["reliability"])
        below.set_xlabel(f"predicted probability of {event}")
    return figure


def draw_class_reliability(classes: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the calibration curve of each class against the others, three to a row."""
    lines = -(-len(classes) // 3)
    with style():
        figure = new_figure(1.6 * lines + 0.3)
        grid = figure.subplots(lines, 3, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, one in zip(grid, classes, strict=False):
            _draw_steps(axes, one["calibration_curve"])
            axes.set_title(short(one["label"], 14), fontsize=9)
            axes.set_box_aspect(1)
        for axes in grid[len(classes) :]:
            axes.set_visible(False)
        figure.supxlabel("predicted probability", fontsize=9)
        figure.supylabel("frequency", fontsize=9)
    return figure


def _draw_curve(
    axes: Axes, steps: Sequence[Mapping[str, float]], band: Sequence[Mapping[str, float]], confidence: float
) -> None:
    x, lower, upper = (np.asarray([point[k] for point in band]) for k in ("probability", "lower", "upper"))
    axes.fill_between(
        x, lower, upper, color=PALE, linewidth=0, label=f"{100 * confidence:g} % band if calibrated"
    )
    _draw_steps(axes, steps)
    axes.legend(loc="upper left", handlelength=1.4)


def _draw_steps(axes: Axes, steps: Sequence[Mapping[str, float]]) -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot(
        [step[end] for step in steps for end in ("from", "to")],
        [step["frequency"] for step in steps for _ in range(2)],
        color=BLUE,
        label="calibration curve",
    )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def _draw_histogram(axes: Axes, bins: Sequence[Mapping[str, float]]) -> None:
    left, right, weight = (np.asarray([b[k] for b in bins]) for k in ("from", "to", "weight"))
    axes.bar((left + right) / 2, 100 * weight / weight.sum(), 0.92 * (right - left), color=QUIET)
    axes.set_ylabel("% of rows")
