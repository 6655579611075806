"""The terminal output of the training of a language model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from crossentropy.training.language.experiment import LanguageRun
from crossentropy.training.language.fit import History
from crossentropy.training.progress import progress_bar


@contextmanager
def language_progress(console: Console, steps: int) -> Iterator[Callable[[History], None]]:
    """Show a progress bar that the yielded function advances by one step."""
    with progress_bar(console, "step", steps) as move:

        def show(history: History) -> None:
            numbers = f"nats/token {history.losses[-1]:.3f}"
            if history.evaluations:
                score = history.evaluations[-1].score
                numbers += f", held out {score.nats_per_token:.3f}  bits/byte {score.bits_per_byte:.3f}"
            move(len(history.losses), numbers)

        yield show


def report(run: LanguageRun) -> Group:
    """Format the scores on the held-out text beside those of the baselines, with an explanation."""
    files = run.options.files
    name = files[0] if len(files) == 1 else f"{len(files)} files"
    title = f"{name}: {run.score.bytes} held-out bytes, {run.score.tokens} tokens"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for coder in ("model", "unigram", "xz", "xz alone"):
        table.add_column(coder, justify="right")
    model, unigram, xz = run.score, run.unigram, run.xz
    table.add_row("nats per token", *(f"{score.nats_per_token:.4f}" for score in (model, unigram)))
    bits = (model.bits_per_byte, unigram.bits_per_byte, xz.after_training, xz.alone)
    table.add_row("bits per byte", *(f"{x:.4f}" for x in bits))
    intervals = (model.bits_per_byte_interval, unigram.bits_per_byte_interval)
    table.add_row("  95 % interval", *("–" if x is None else f"{x[0]:.4f}–{x[1]:.4f}" for x in intervals))
    table.add_row("perplexity per token", *(f"{score.perplexity:.2f}" for score in (model, unigram)))
    memory = "unknown" if run.memory is None else f"{run.memory / 2**20:.0f} MiB"
    return Group(
        table,
        "The unigram coder gives each token its frequency in the training text, every count one higher. xz is "
        "what the held-out text adds to the training text when both are compressed by xz -9e, xz alone what it "
        f"takes by itself. Intervals take the windows of {run.options.context} tokens for independent. Peak memory of "
        f"the training process: {memory}, logits {run.options.logits}.",
        *(Text(f"Note: {remark}", "bold") for remark in remarks(run)),
    )


def remarks(run: LanguageRun) -> list[str]:
    """Say if the model is no better than the frequencies of the tokens."""
    model, unigram = run.score.nats_per_token, run.unigram.nats_per_token
    if model is None or unigram is None or model < unigram:
        return []
    return [
        f"The model is no better than the unigram coder on the held-out text: it takes {model - unigram:.4f} nats per "
        f"token more. Pass more --steps than {run.options.steps}, another --learning-rate, or more text."
    ]
