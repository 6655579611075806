"""The terminal output of a training run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from crossentropy.training.experiment import Run
from crossentropy.training.fit import Epoch, best_epoch
from crossentropy.training.progress import progress_bar
from crossentropy.training.tables.fates import Fate, grouped


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
    """Format the scores on the held-out rows beside those of the baseline, with an explanation of both."""
    table = Table(
        title=f"{escape(run.options.data)}: {len(run.split.test)} held-out rows", title_justify="left"
    )
    table.add_column("")
    table.add_column("model", justify="right")
    table.add_column("baseline", justify="right")
    for name, model, baseline in (
        ("log loss, nats", run.scores.nats, run.baseline.nats),
        ("log loss, bits", run.scores.bits, run.baseline.bits),
        ("perplexity", run.scores.perplexity, run.baseline.perplexity),
    ):
        table.add_row(name, f"{model:.4f}", f"{baseline:.4f}")
    table.add_row("accuracy", f"{run.scores.accuracy:.2%}", f"{run.baseline.accuracy:.2%}")
    return Group(
        table,
        f"The model is that of epoch {best_epoch(run.history).epoch} of {len(run.history)}, where the "
        "validation loss was least. The baseline always predicts the training frequencies: its log loss is "
        "the cross-entropy of the held-out frequencies against them; the entropy of the training "
        f"frequencies is {run.baseline_entropy:.4f} nats.",
    )
