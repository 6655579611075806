"""The verb ``train``."""

from pathlib import Path
from typing import Annotated

import typer

from crossentropy.cli.arguments import Decimal, Encoding, Separator
from crossentropy.cli.errors import errors_in_a_sentence
from crossentropy.training.options import (
    Options,
    check_together,
    listed_shares,
    listed_widths,
    parse_hidden,
    parse_split,
)
from crossentropy.training.output import check_new, check_writable
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.source import check_exists


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="The path of a table, text (CSV) or Parquet; or digits, breast_cancer, wine, iris.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write the model, its history, predictions and curves into."
        ),
    ],
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column to predict. Default: the one named label, target, class or y."
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="The loss to train with, such as focal(gamma=2); crossentropy losses lists them. Given more than "
            "once, the losses are compared, and the model that is best on the validation rows is kept.",
            show_default=Options.loss,
        ),
    ] = None,
    tune: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Search the learning rate, hidden layers, weight decay, dropout, and the settings of the loss that "
            "--loss does not give, by N trainings scored on the validation rows.",
        ),
    ] = None,
    hidden: Annotated[
        str, typer.Option(metavar="WIDTHS", help='Widths of the hidden layers; "" makes a linear model.')
    ] = listed_widths(Options.hidden),
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Largest number of passes over the training rows.")
    ] = Options.epochs,
    batch: Annotated[
        int, typer.Option(metavar="N", help="Training rows in each step of Adam.")
    ] = Options.batch,
    patience: Annotated[
        int, typer.Option(metavar="N", help="Stop after N epochs without improvement on the validation rows.")
    ] = Options.patience,
    select: Annotated[
        str,
        typer.Option(
            metavar="MEASURE",
            help="What chooses the epoch to keep, measured on the validation rows: objective (the trained loss), "
            "log_loss or accuracy.",
        ),
    ] = Options.select,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", help="Step size of Adam.")
    ] = Options.learning_rate,
    weight_decay: Annotated[
        float, typer.Option(metavar="X", help="L2 penalty of Adam.")
    ] = Options.weight_decay,
    dropout: Annotated[
        float, typer.Option(metavar="X", help="Share of each hidden layer that a training step sets to 0.")
    ] = Options.dropout,
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Weights of the classes in the loss: balanced, or by name, such as yes=60,no=1 (other classes: 1).",
        ),
    ] = None,
    correct_weights: Annotated[
        bool,
        typer.Option("--correct-weights", help="Take the weights of the classes out of the probabilities."),
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of training, validation and held-out rows.")
    ] = listed_shares(Options.split),
    test: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Table of held-out rows; then no rows of DATA are held out."),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same run, up to rounding.")
    ] = Options.seed,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where to train: auto, cpu, cuda, …")
    ] = Options.device,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in DIR.")] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in DIR: pass its options again, with more --epochs."
        ),
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Leave out this column; may be given more than once, as --id, --text, --keep.",
        ),
    ] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="This column names the row: it is not learned from, and is copied to the predictions.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="This column holds categories, although they look like numbers or dates."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Learn from this column, although a rule would leave it out."),
    ] = None,
    separator: Separator = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    min_class: Annotated[
        int, typer.Option(metavar="N", help="Leave out the classes that have fewer rows than N.")
    ] = ReadOptions.min_class,
    merge_rare: Annotated[
        bool,
        typer.Option(
            "--merge-rare", help="With --min-class: merge these classes into one, named other, instead."
        ),
    ] = False,
) -> None:
    """Train a classifier on a table.

    Some rows are held out; the model is scored on them.
    """
    with errors_in_a_sentence():
        options = Options(
            data=data,
            label=label,
            hidden=parse_hidden(hidden),
            epochs=epochs,
            batch=batch,
            patience=patience,
            select=select,
            dropout=dropout,
            class_weight=class_weight,
            correct_weights=correct_weights,
            split=parse_split(split),
            test=test,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            seed=seed,
            device=device,
            reading=ReadOptions(
                separator=separator,
                encoding=encoding,
                decimal=decimal,
                drop=tuple(drop or ()),
                ids=tuple(id or ()),
                texts=tuple(text or ()),
                keep=tuple(keep or ()),
                min_class=min_class,
                merge_rare=merge_rare,
            ),
        )
        losses = tuple(loss or [Options.loss])
        check_together(losses, tune, resume=resume)
        # the paths are checked before the imports, which take seconds
        check_writable(out)
        check_new(out, overwrite=overwrite, resume=resume)
        check_exists(data)
        if test is not None:
            check_exists(test)

        from crossentropy.training.command import run_command

        run_command(options, losses, out, trials=tune, resume=resume)
