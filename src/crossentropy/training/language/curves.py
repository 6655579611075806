"""A picture of a language model's training."""

from pathlib import Path

from matplotlib.figure import Figure

from crossentropy.training.language.experiment import LanguageRun
from crossentropy.training.pictures import QUIET, TRAIN, VALIDATION, svg_style


def draw_curves(run: LanguageRun, path: Path) -> None:
    """Draw nats per token of the training, and bits per byte of the held-out text, by step into an SVG file."""
    steps = range(1, len(run.history.losses) + 1)
    evaluated = [evaluation.step for evaluation in run.history.evaluations]
    scores = [evaluation.score for evaluation in run.history.evaluations]
    with svg_style():
        figure = Figure(figsize=(9, 4), layout="constrained")
        nats, bits = figure.subplots(1, 2)
        nats.plot(steps, run.history.losses, color=TRAIN, linewidth=0.8, label="training windows")
        nats.plot(
            evaluated,
            [score.nats_per_token for score in scores],
            "o-",
            color=VALIDATION,
            markersize=4,
            label="held-out text",
        )
        nats.axhline(run.unigram.nats_per_token, color=QUIET, linestyle="--", label="token frequencies")
        nats.set_ylabel("loss in nats per token")
        bits.plot(evaluated, [score.bits_per_byte for score in scores], "o-", color=VALIDATION, markersize=4)
        bits.axhline(run.unigram.bits_per_byte, color=QUIET, linestyle="--")
        bits.axhline(run.xz.after_training, color=QUIET, linestyle=":", label="xz after the training text")
        bits.set_ylabel("held-out text in bits per byte")
        for axes in (nats, bits):
            axes.set(xlabel="step", xlim=(0, len(steps)), ylim=(0, None))
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
