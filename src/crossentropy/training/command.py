"""The command ``train`` from its options to the files, with what it prints."""

import math
from dataclasses import replace
from pathlib import Path

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.training.comparison import Comparison
from crossentropy.training.comparison_display import comparison_report
from crossentropy.training.data import Dataset, load_dataset
from crossentropy.training.display import columns_table, rate, report, training_progress, tuning_progress
from crossentropy.training.errors import DivergedError, InputError
from crossentropy.training.experiment import Run, train
from crossentropy.training.options import Options
from crossentropy.training.other_table import Rows, read_rows
from crossentropy.training.prepare import prepare
from crossentropy.training.progress import print_notice
from crossentropy.training.runs.files import write_run
from crossentropy.training.runs.load import load_model
from crossentropy.training.tables.source import BUNDLED
from crossentropy.training.terminal import terminal
from crossentropy.training.trials import found


def run_command(
    options: Options, losses: tuple[str, ...], out: Path, *, trials: int | None, resume: bool
) -> None:
    """Train with each loss, write the run that is the best on the validation rows, and print its report.

    Parameters
    ----------
    options : Options
    losses : tuple of str
        Loss expressions, at least one; the options' own has no effect.
    out : path
        The folder to write the run into.
    trials : int, optional
        How many trials of a search choose the options for each loss.
    resume : bool
        Whether the run in the folder goes on.

    Raises
    ------
    InputError, LossExpressionError
    """
    if trials is not None:
        from crossentropy.training.tuning import tune  # optuna takes a while to import
    for loss in losses:
        parse_loss(loss)
    earlier = load_model(out) if resume else None
    dataset = load_dataset(options.data, options.label, options.reading)
    messages = terminal(stderr=True)
    notices: list[str] = []

    def say(notice: str) -> None:
        notices.append(notice)
        print_notice(messages, notice)

    if options.data not in BUNDLED:
        messages.print(columns_table(dataset.fates))
    held_out = _held_out_table(options, dataset)
    # a run goes on with the loss that it was made with, so there is one
    prepared = prepare(dataset, replace(options, loss=losses[0]), held_out=held_out, earlier=earlier)
    for notice in prepared.notices:
        say(notice)
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for loss in losses:
        if runs and runs[-1].stopped:
            failed[loss] = "the training was stopped before."
            continue
        title = f"{loss}: " if len(losses) > 1 else ""
        chosen, tuning = replace(options, loss=loss), None
        try:
            if trials is not None:
                with tuning_progress(messages, trials, title) as on_trial:
                    tuning = tune(prepared, chosen, trials, on_trial, say)
                say(f"{title}{found(tuning)}")
                chosen = tuning.best.options
            with training_progress(messages, chosen.epochs, title) as on_epoch:
                run = train(prepared, chosen, on_epoch, say)
        except DivergedError as error:
            if len(losses) == 1:
                raise
            failed[loss] = str(error)
            say(f"{loss}: {error}")
            continue
        runs.append(replace(run, tuning=tuning))
        if not math.isnan(run.rows_per_second):
            print_notice(messages, f"{title}{rate(run)}")
    if not runs:
        raise InputError("No loss could be trained: " + " ".join(failed.values()))
    comparison = Comparison(runs, failed) if len(losses) > 1 else None
    kept = runs[0] if comparison is None else comparison.kept
    write_run(replace(kept, notices=notices), out, comparison)
    printed = terminal()
    if comparison is not None:
        printed.print(comparison_report(comparison))
    printed.print(report(kept))


def _held_out_table(options: Options, dataset: Dataset) -> Rows | None:
    """Read the held-out rows from a table of the user's own, if there is one, and put its notices to the others."""
    if options.test is None:
        return None
    try:
        rows, notices = read_rows(options.test, dataset.fates, dataset.classes, options.reading)
    except InputError as error:
        raise InputError(f"--test: {error}") from error
    if rows.labels is None:
        raise InputError(
            f"--test: {options.test} has no column {dataset.label!r}, that of the labels: to predict its rows, train "
            "without --test, and pass it to crossentropy predict."
        )
    rows = rows.take(rows.labeled)
    if not len(rows.rows):
        raise InputError(
            f"--test: {options.test} has no row whose label, in column {dataset.label!r}, is one of the classes."
        )
    dataset.notices.extend(notices)
    return rows
