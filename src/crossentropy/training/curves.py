"""A picture of the losses and accuracies of a training run."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from crossentropy.training.experiment import Run
from crossentropy.training.pictures import QUIET, TRAIN, VALIDATION, svg_style


def draw_curves(run: Run, path: Path) -> None:
    """Draw losses and accuracy by epoch into an SVG file, the same bytes for the same run."""
    epochs = [epoch.epoch for epoch in run.history]
    best = run.best
    with svg_style():
        figure = Figure(figsize=(9, 4), layout="constrained")
        loss, accuracy = figure.subplots(1, 2, width_ratios=[3, 2])
        loss.plot(epochs, [epoch.log_loss for epoch in run.history], color=TRAIN, label="training rows")
        loss.plot(
            epochs,
            [epoch.validation_log_loss for epoch in run.history],
            color=VALIDATION,
            label="validation rows",
        )
        loss.plot(
            best.epoch, best.validation_log_loss, "o", color=VALIDATION, label=f"epoch {best.epoch}, kept"
        )
        loss.axhline(run.baseline_entropy, color=QUIET, linestyle="--", label="training frequencies")
        loss.set(yscale="log", ylabel="log loss in nats")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter(NullFormatter())
        accuracy.plot(epochs, [epoch.validation_accuracy for epoch in run.history], color=VALIDATION)
        accuracy.plot(best.epoch, best.validation_accuracy, "o", color=VALIDATION)
        accuracy.axhline(run.baseline.accuracy, color=QUIET, linestyle="--")
        accuracy.set(ylim=(0, 1.02), ylabel="accuracy")
        for axes in (loss, accuracy):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
