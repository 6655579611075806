"""The command ``train`` from its options to the files, with what it prints."""

from pathlib import Path

from rich.console import Console

from crossentropy.training.data import load_dataset
from crossentropy.training.display import columns_table, report, training_progress
from crossentropy.training.errors import InputError
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.other_table import read_rows
from crossentropy.training.runs.files import write_run
from crossentropy.training.runs.load import load_model
from crossentropy.training.tables.source import BUNDLED


def run_command(options: Options, out: Path, *, resume: bool) -> None:
    """Train, write the run into the folder `out`, and print its report.

    Raises
    ------
    InputError, LossExpressionError
    """
    earlier = load_model(out) if resume else None
    dataset = load_dataset(options.data, options.label, options.reading)
    messages = Console(stderr=True)

    def say(notice: str) -> None:
        messages.print(notice, markup=False, highlight=False, soft_wrap=True)

    if options.data not in BUNDLED:
        messages.print(columns_table(dataset.fates))
    held_out = None
    if options.test is not None:
        held_out, notices = read_rows(options.test, dataset.fates, dataset.classes, options.reading)
        held_out = held_out.take(held_out.labeled)
        if not len(held_out.rows):
            raise InputError(
                f"--test: {options.test} has no row whose label, in column {dataset.label!r}, is one of the classes."
            )
        dataset.notices.extend(notices)
    for notice in dataset.notices:
        say(notice)
    with training_progress(messages, options.epochs) as on_epoch:
        run = train(dataset, options, on_epoch, say, held_out=held_out, earlier=earlier)
    write_run(run, out)
    Console(highlight=False).print(report(run), markup=False)
