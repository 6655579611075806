"""The verb ``predict``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crossentropy.cli.arguments import Decimal, Encoding, Separator
from crossentropy.cli.errors import errors_in_a_sentence
from crossentropy.training.output import check_file, check_new_file, check_run, write_file
from crossentropy.training.tables.source import check_exists
from crossentropy.training.terminal import terminal


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that crossentropy train has written.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A table with the same columns; the label may be missing.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Table of predictions to write: .parquet or .csv.")
    ],
    separator: Separator = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is there.")] = False,
) -> None:
    """Predict the rows of a table with a model.

    If the table has the label column, the predictions are scored too.
    """
    with errors_in_a_sentence():
        # the paths are checked before the imports, which take seconds
        check_run(run)
        check_exists(data)
        check_new_file(out, overwrite=overwrite)
        check_file(out)

        from crossentropy.training.runs.apply import apply_model, report_applied
        from crossentropy.training.runs.load import load_model
        from crossentropy.training.runs.predictions import write_predictions

        model = load_model(run)
        options = replace(model.reading, separator=separator, encoding=encoding, decimal=decimal)
        applied = apply_model(model, data, options, terminal(stderr=True))
        write_file(lambda path: write_predictions(applied.predictions, path), out)
        terminal().print(report_applied(applied, data, out, model))
