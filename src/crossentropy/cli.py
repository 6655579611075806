"""The command line: ``crossentropy train``, ``crossentropy train-lm`` and ``crossentropy losses``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

try:
    import typer
    from rich.console import Console
except ModuleNotFoundError as missing:
    raise ImportError('The command line needs more packages: pip install "crossentropy[train]"') from missing

from crossentropy import __version__
from crossentropy._loss_expressions.errors import LossExpressionError
from crossentropy.training.errors import InputError
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.options import Options, listed_widths, parse_hidden
from crossentropy.training.output import check_writable
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.source import BUNDLED, check_exists

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def main() -> None:
    """Run the command line; the entry point of the installed command."""
    app()


@contextmanager
def _errors_in_a_sentence() -> Iterator[None]:
    """Turn what the user can put right into one sentence on stderr and exit code 2."""
    try:
        yield
    except (InputError, LossExpressionError) as error:
        typer.echo(f"Error: {error}", err=True)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("crossentropy"):
            raise
        typer.echo(f'Error: There is no module {error.name}: pip install "crossentropy[train]"', err=True)
    else:
        return
    raise typer.Exit(2)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Cross-entropy as working software."""


@app.command()
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
        str,
        typer.Option(
            metavar="EXPRESSION",
            help="Such as cross_entropy(label_smoothing=0.1), focal(gamma=2); see crossentropy losses.",
        ),
    ] = Options.loss,
    hidden: Annotated[
        str, typer.Option(metavar="WIDTHS", help='Widths of the hidden layers; "" makes a linear model.')
    ] = listed_widths(Options.hidden),
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Most passes over the training rows.")
    ] = Options.epochs,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", help="Step size of Adam.")
    ] = Options.learning_rate,
    weight_decay: Annotated[
        float, typer.Option(metavar="X", help="L2 penalty of Adam.")
    ] = Options.weight_decay,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same run, up to rounding.")
    ] = Options.seed,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, …")] = Options.device,
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
    separator: Annotated[
        str | None, typer.Option(metavar="CHARACTER", help="Between columns of a text table; tab, ;, …")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a text table, if not UTF-8: latin-1, utf-16, …")
    ] = None,
    decimal: Annotated[str | None, typer.Option(metavar="MARK", help="Decimal mark, . or ,")] = None,
    min_class: Annotated[
        int, typer.Option(metavar="N", help="Leave out classes with fewer rows.")
    ] = ReadOptions.min_class,
    merge_rare: Annotated[
        bool, typer.Option("--merge-rare", help="Merge these classes into one, 'other', instead.")
    ] = False,
) -> None:
    """Train a classifier on a table, and score it on rows held out."""
    with _errors_in_a_sentence():
        options = Options(
            data=data,
            label=label,
            loss=loss,
            hidden=parse_hidden(hidden),
            epochs=epochs,
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
        # what can be wrong with the paths is said before the imports, which take seconds
        check_writable(out)
        check_exists(data)

        from crossentropy.training.data import load_dataset
        from crossentropy.training.display import columns_table, report, training_progress
        from crossentropy.training.experiment import train as run_training
        from crossentropy.training.files import write_run

        dataset = load_dataset(data, label, options.reading)
        messages = Console(stderr=True)

        def say(notice: str) -> None:
            messages.print(notice, markup=False, highlight=False, soft_wrap=True)

        if data not in BUNDLED:
            messages.print(columns_table(dataset.fates))
        for notice in dataset.notices:
            say(notice)
        with training_progress(messages, epochs) as on_epoch:
            run = run_training(dataset, options, on_epoch, say)
        write_run(run, out)
        Console(highlight=False).print(report(run), markup=False)


@app.command()
def train_lm(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Text files in UTF-8.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the checkpoint, model, history, sample, curves.")
    ],
    vocabulary: Annotated[
        int, typer.Option(metavar="N", help="Most tokens that the tokenizer learns.")
    ] = LanguageOptions.vocabulary,
    context: Annotated[int, typer.Option(metavar="N", help="Tokens in a window.")] = LanguageOptions.context,
    layers: Annotated[
        int, typer.Option(metavar="N", help="Blocks of the transformer.")
    ] = LanguageOptions.layers,
    width: Annotated[
        int, typer.Option(metavar="N", help="Numbers that stand for a token.")
    ] = LanguageOptions.width,
    heads: Annotated[int, typer.Option(metavar="N", help="Heads of attention.")] = LanguageOptions.heads,
    batch: Annotated[int, typer.Option(metavar="N", help="Windows in a step.")] = LanguageOptions.batch,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of AdamW.")] = LanguageOptions.steps,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", help="Step size after the warm-up, the highest.")
    ] = LanguageOptions.learning_rate,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same run, up to rounding.")
    ] = LanguageOptions.seed,
    held_out: Annotated[
        float, typer.Option(metavar="X", help="Share of each file, its end, to score on.")
    ] = LanguageOptions.held_out,
    checkpoint_every: Annotated[
        int, typer.Option(metavar="N", help="Steps between checkpoints, each with an evaluation.")
    ] = LanguageOptions.checkpoint_every,
    logits: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="linear: the logits are never written out; materialized: they are."
        ),
    ] = LanguageOptions.logits,
) -> None:
    """Train a language model on text files, and score it on the last part of each.

    The same command goes on where an earlier one was stopped.
    """
    with _errors_in_a_sentence():
        options = LanguageOptions(
            files=tuple(files),
            vocabulary=vocabulary,
            context=context,
            layers=layers,
            width=width,
            heads=heads,
            batch=batch,
            steps=steps,
            learning_rate=learning_rate,
            seed=seed,
            held_out=held_out,
            checkpoint_every=checkpoint_every,
            logits=logits,
        )
        from crossentropy.training.language.text import check_paths
        from crossentropy.training.output import check_writable

        check_writable(out)
        check_paths(files)  # before the imports, which take seconds
        from crossentropy.training.language.display import language_progress, report
        from crossentropy.training.language.experiment import prepare
        from crossentropy.training.language.experiment import train as run_training
        from crossentropy.training.language.files import write_language_run

        prepared = prepare(options, out)
        messages = Console(stderr=True)
        for notice in prepared.notices:
            messages.print(notice, markup=False, highlight=False, soft_wrap=True)
        with language_progress(messages, steps) as on_step:
            run = run_training(prepared, on_step)
        write_language_run(run, out)
        Console(highlight=False).print(report(run), markup=False)


@app.command()
def losses() -> None:
    """List the losses by family: when to use it, what each is, its paper, and (marked --loss) which can train."""
    from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES, paper, public_losses, summary
    from crossentropy.training.families import FAMILIES

    public = public_losses()
    width = max(map(len, public))
    for family in FAMILIES:
        typer.echo(f"{family.title}: when {family.use_when}")
        for name in family.losses:
            fits = "--loss" if name in KNOWN_LOSSES else ""
            source = paper(public[name])
            line = f"  {name:<{width}}  {fits:<6}  {summary(public[name])}"
            typer.echo(line + (f" ({source})" if source else ""))
        typer.echo()
    short = [
        f"{name} for {known.function.__name__}" for name, known in KNOWN_LOSSES.items() if name not in public
    ]
    typer.echo(f"--loss: a loss for crossentropy train --loss, which also takes {', '.join(short)}.")
