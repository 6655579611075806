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
            metavar="DATA", help="digits, breast_cancer, wine, iris, or a table: text or Parquet."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the model, history, predictions, curves.")
    ],
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column to predict, if not label, target, class or y."),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="Such as cross_entropy(label_smoothing=0.1), focal(gamma=2); see crossentropy losses. Given more "
            "than once: compare them, and keep the one that is the best on the validation rows.",
            show_default=Options.loss,
        ),
    ] = None,
    tune: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Search learning rate, hidden layers, weight decay, dropout and what the loss leaves at defaults, "
            "by N trials on the validation rows.",
        ),
    ] = None,
    hidden: Annotated[
        str, typer.Option(metavar="WIDTHS", help='Widths of the hidden layers; "" makes a linear model.')
    ] = listed_widths(Options.hidden),
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Most passes over the training rows.")
    ] = Options.epochs,
    batch: Annotated[int, typer.Option(metavar="N", help="Rows of a step.")] = Options.batch,
    patience: Annotated[
        int, typer.Option(metavar="N", help="Stop after N epochs without an improvement.")
    ] = Options.patience,
    select: Annotated[
        str,
        typer.Option(
            metavar="MEASURE",
            help="What of the validation rows chooses the epoch: objective (the loss), log_loss or accuracy.",
        ),
    ] = Options.select,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", help="Step size of Adam.")
    ] = Options.learning_rate,
    weight_decay: Annotated[
        float, typer.Option(metavar="X", help="L2 penalty of Adam.")
    ] = Options.weight_decay,
    dropout: Annotated[
        float, typer.Option(metavar="X", help="Share of a hidden layer that a step sets to 0.")
    ] = Options.dropout,
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS", help="balanced, or weights by class such as yes=60,no=1 (others: 1)."
        ),
    ] = None,
    correct_weights: Annotated[
        bool, typer.Option("--correct-weights", help="Take the weights out of the probabilities.")
    ] = False,
    split: Annotated[
        str, typer.Option(metavar="SHARES", help="Of training, validation and held-out rows.")
    ] = listed_shares(Options.split),
    test: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Table of held-out rows; DATA then has no held-out share."),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same run, up to rounding.")
    ] = Options.seed,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, …")] = Options.device,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in DIR.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in DIR; pass the same options, more --epochs."),
    ] = False,
    drop: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Leave out this column.")] = None,
    id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="This column names the row: not learnt, kept in the predictions."
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="This column holds names, though they look like numbers or dates."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Learn from this column, though a rule would leave it out."),
    ] = None,
    separator: Separator = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    min_class: Annotated[
        int, typer.Option(metavar="N", help="Leave out classes with fewer rows.")
    ] = ReadOptions.min_class,
    merge_rare: Annotated[
        bool, typer.Option("--merge-rare", help="Merge these classes into one, 'other', instead.")
    ] = False,
) -> None:
    """Train a classifier on a table, and score it on rows held out."""
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
