"""The verbs of the command line, put together."""

from typing import Annotated

import typer

from crossentropy import __version__, show_config
from crossentropy.cli.calibrate import calibrate
from crossentropy.cli.compare import compare
from crossentropy.cli.doctor import doctor
from crossentropy.cli.evaluate import evaluate
from crossentropy.cli.explain import explain
from crossentropy.cli.losses import losses
from crossentropy.cli.merge import merge
from crossentropy.cli.perplexity import perplexity
from crossentropy.cli.predict import predict
from crossentropy.cli.train import train
from crossentropy.cli.train_lm import train_lm

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)
for verb in (
    train,
    predict,
    train_lm,
    losses,
    evaluate,
    merge,
    compare,
    calibrate,
    perplexity,
    explain,
    doctor,
):
    app.command()(verb)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --version: what the package runs on as well.")
    ] = False,
) -> None:
    """Train classifiers and language models with cross-entropy losses, use the models, and score predictions."""
    if verbose and not version:
        raise typer.BadParameter("--verbose goes with --version: crossentropy --version --verbose")
    if version:
        show_config() if verbose else typer.echo(__version__)
        raise typer.Exit()
    if context.invoked_subcommand is None:
        raise typer.BadParameter("a command is missing: crossentropy --help lists them")
