"""What the user can put right, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from crossentropy._loss_expressions.errors import LossExpressionError
from crossentropy.cli.install import what_to_install
from crossentropy.training.errors import InputError


@contextmanager
def errors_in_a_sentence() -> Iterator[None]:
    """Turn what the user can put right into one sentence on stderr and exit code 2."""
    try:
        yield
        return
    except (InputError, LossExpressionError) as error:
        sentence = str(error)
    except ImportError as error:
        # a face of this package raises an ImportError from the ModuleNotFoundError of its framework
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        sentence = what_to_install(missing)
    typer.echo(f"Error: {sentence}", err=True)
    raise typer.Exit(2)
