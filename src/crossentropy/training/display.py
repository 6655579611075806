"""The terminal output of a training run."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from crossentropy.sklearn import Epoch
from crossentropy.training.experiment import Run
from crossentropy.training.labels import Class
from crossentropy.training.progress import progress_bar
from crossentropy.training.remarks import remarks, selection
from crossentropy.training.scores import Scores
from crossentropy.training.tables.fates import Fate, grouped
from crossentropy.training.trials import Trial

MOST_CLASSES = 12  # rows in the table of classes


@contextmanager
def tuning_progress(console: Console, trials: int, title: str = "") -> Iterator[Callable[[Trial], None]]:
    """Show a progress bar, below its title, that the yielded function advances."""
    with progress_bar(console, "trial", trials, title) as move:
        values: list[float] = []

        def show(trial: Trial) -> None:
            values.append(trial.value)
            move(len(values), f"validation {trial.value:.4f}")

        yield show


@contextmanager
def training_progress(console: Console, epochs: int, title: str = "") -> Iterator[Callable[[Epoch], None]]:
    """Show a progress bar, below its title, that the yielded function advances."""
    with progress_bar(console, "epoch", epochs, title) as move:

        def show(epoch: Epoch) -> None:
            move(
                epoch.epoch,
                f"train {epoch.log_loss:.4f}  validation {epoch.validation_log_loss:.4f} nats"
                f"  accuracy {epoch.validation_accuracy:.1%}",
            )

        yield show


def rate(run: Run) -> str:
    """Say how fast the training was."""
    rows = len(run.split.train)
    return (
        f"An epoch of {rows:,} training rows took {rows / run.rows_per_second:.3g} s: {run.rows_per_second:,.0f} rows "
        "per second."
    )


def columns_table(fates: list[Fate]) -> Table:
    """Format the use of the columns of a table, in one row those with the same use and remarks."""
    table = Table(title="Columns", title_justify="left")
    table.add_column("column", overflow="fold")
    table.add_column("use")
    table.add_column("missing cells", justify="right")
    table.add_column("remark", overflow="fold")
    for group in grouped(fates):
        missing = str(group.missing) if group.missing else ""
        table.add_row(group.names, group.use, missing, "; ".join(group.remarks))
    return table


def report(run: Run) -> Group:
    """Format the scores on the held-out rows beside those of the baseline, those of each class, and an explanation."""
    rows = len(run.log_probabilities)
    return Group(
        scores_table(
            f"{run.options.test or run.options.data}: {rows} held-out rows", run.scores, run.baseline
        ),
        classes_table("Held-out rows by class", run.scores, run.model.classes),
        f"{selection(run)} The baseline always predicts the training frequencies: its log loss is "
        "the cross-entropy of the held-out frequencies against them; the entropy of the training "
        f"frequencies is {run.baseline_entropy:.4f} nats. Balanced accuracy is the mean recall of the classes, and "
        "average precision the mean over the classes of the area under the precision-recall curve.",
        *(Text(f"Note: {remark}", "bold") for remark in remarks(run)),
    )


def decimals(x: float) -> str:
    """Write a number with four decimals, or with five digits if it is a million or more.

    >>> decimals(0.25), decimals(2.5e33)
    ('0.2500', '2.5e+33')
    """
    return f"{x:.4f}" if x < 1e6 else f"{x:.5g}"


def scores_table(title: str, model: Scores, baseline: Scores | None = None) -> Table:
    """Format the scores of all rows, beside those of a baseline if there is one."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    both = [model]
    table.add_column("model", justify="right")
    if baseline is not None:
        both.append(baseline)
        table.add_column("baseline", justify="right")
    table.add_row("log loss, nats", *(decimals(scores.nats) for scores in both))
    table.add_row("  95 % interval", *(_interval(scores) for scores in both))
    table.add_row("log loss, bits", *(decimals(scores.bits) for scores in both))
    table.add_row("perplexity", *(decimals(scores.perplexity) for scores in both))
    table.add_row("accuracy", *(f"{scores.accuracy:.2%}" for scores in both))
    table.add_row("balanced accuracy", *(f"{scores.balanced_accuracy:.2%}" for scores in both))
    table.add_row("average precision", *(f"{scores.average_precision:.4f}" for scores in both))
    return table


def classes_table(title: str, scores: Scores, classes: list[Class]) -> Table:
    """Format recall, precision and average precision of the classes, those of the least recall if there are many."""
    scored = list(zip(classes, scores.classes, strict=True))
    if len(scored) > MOST_CLASSES:
        scored = sorted(scored, key=lambda pair: (math.isnan(pair[1].recall), pair[1].recall))[:MOST_CLASSES]
        title += f": the {MOST_CLASSES} of {len(classes)} with the least recall"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for name in ("rows", "recall", "precision", "average precision"):
        table.add_column(name, justify="right")
    for value, of_class in scored:
        numbers = (
            f"{of_class.recall:.2%}",
            f"{of_class.precision:.2%}",
            f"{of_class.average_precision:.4f}",
        )
        table.add_row(str(value), str(of_class.rows), *("–" if x.startswith("nan") else x for x in numbers))
    return table


def _interval(scores: Scores) -> str:
    """Write the interval of the log loss."""
    low, high = scores.interval
    return "–" if math.isnan(low) else f"{decimals(low)}–{decimals(high)}"
