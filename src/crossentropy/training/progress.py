"""Notices and a progress bar in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column


@contextmanager
def progress_bar(
    console: Console, unit: str, total: int, title: str = "", *, shown: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar of `total` units, below a title if there is one.

    The yielded function takes the number of units done and a text. Nothing is shown if `shown` is false or `console` is
    not a terminal.
    """
    columns = (
        TextColumn(unit),
        # no wrapping: in a narrow terminal the bar shrinks instead
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None),
        TextColumn("{task.description}"),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
    )
    shown = shown and console.is_terminal
    if shown and title:
        print_notice(console, title)  # beside the bar it would take its room
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, numbers: progress.update(task, completed=done, description=numbers)


def print_notice(console: Console, notice: str) -> None:
    """Print a notice as it is written, in one line however narrow the terminal."""
    console.print(notice, soft_wrap=True)
