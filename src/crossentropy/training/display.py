"""The terminal output of a training run."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from crossentropy.training.experiment import Run
from crossentropy.training.fit import Epoch, best_epoch
from crossentropy.training.progress import progress_bar
from crossentropy.training.remarks import remarks
from crossentropy.training.scores import Scores
from crossentropy.training.tables.fates import Fate, grouped

MOST_CLASSES = 12  # rows in the table of classes


@contextmanager
def training_progress(console: Console, epochs: int) -> Iterator[Callable[[Epoch], None]]:
    """Show a progress bar that the yielded function advances by one epoch."""
    with progress_bar(console, "epoch", epochs) as move:

        def show(epoch: Epoch) -> None:
            move(
                epoch.epoch,
                f"train {epoch.train_loss:.4f}  validation {epoch.validation_loss:.4f} nats"
                f"  accuracy {epoch.validation_accuracy:.1%}",
            )

        yield show


def columns_table(fates: list[Fate]) -> Table:
    """Format what became of the columns of a table, columns of which the same can be said in one line."""
    table = Table(title="columns", title_justify="left")
    table.add_column("column", overflow="fold")
    table.add_column("use")
    table.add_column("missing", justify="right")
    table.add_column("remark", overflow="fold")
    for group in grouped(fates):
        missing = str(group.missing) if group.missing else ""
        table.add_row(escape(group.names), group.use, missing, escape("; ".join(group.remarks)))
    return table


def report(run: Run) -> Group:
    """Format the scores on the held-out rows beside those of the baseline, those of each class, and an explanation."""
    table = Table(
        title=f"{escape(run.options.data)}: {len(run.split.test)} held-out rows", title_justify="left"
    )
    table.add_column("")
    table.add_column("model", justify="right")
    table.add_column("baseline", justify="right")
    both = run.scores, run.baseline
    table.add_row("log loss, nats", *(f"{scores.nats:.4f}" for scores in both))
    table.add_row("  95 % interval", *(_interval(scores) for scores in both))
    table.add_row("log loss, bits", *(f"{scores.bits:.4f}" for scores in both))
    table.add_row("perplexity", *(f"{scores.perplexity:.4f}" for scores in both))
    table.add_row("accuracy", *(f"{scores.accuracy:.2%}" for scores in both))
    table.add_row("balanced accuracy", *(f"{scores.balanced_accuracy:.2%}" for scores in both))
    table.add_row("average precision", *(f"{scores.average_precision:.4f}" for scores in both))
    return Group(
        table,
        _class_table(run),
        f"The model is that of epoch {best_epoch(run.history).epoch} of {len(run.history)}, where the "
        "validation loss was least. The baseline always predicts the training frequencies: its log loss is "
        "the cross-entropy of the held-out frequencies against them; the entropy of the training "
        f"frequencies is {run.baseline_entropy:.4f} nats. Balanced accuracy is the mean recall of the classes, and "
        "average precision the mean over the classes of the area under the precision-recall curve.",
        *(Text(f"Note: {remark}", "bold") for remark in remarks(run)),
    )


def _class_table(run: Run) -> Table:
    """Format recall, precision and average precision of the classes, those of the least recall if there are many."""
    scored = list(zip(run.dataset.classes, run.scores.classes, strict=True))
    title = "Held-out rows by class"
    if len(scored) > MOST_CLASSES:
        scored = sorted(scored, key=lambda pair: (math.isnan(pair[1].recall), pair[1].recall))[:MOST_CLASSES]
        title += f": the {MOST_CLASSES} of {len(run.dataset.classes)} with the least recall"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for name in ("rows", "recall", "precision", "average precision"):
        table.add_column(name, justify="right")
    for value, scores in scored:
        numbers = f"{scores.recall:.2%}", f"{scores.precision:.2%}", f"{scores.average_precision:.4f}"
        table.add_row(
            escape(str(value)), str(scores.rows), *("–" if x.startswith("nan") else x for x in numbers)
        )
    return table


def _interval(scores: Scores) -> str:
    """Write the interval of the log loss."""
    low, high = scores.interval
    return "–" if math.isnan(low) else f"{low:.4f}–{high:.4f}"
