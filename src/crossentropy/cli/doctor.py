"""The verb ``doctor``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from crossentropy.cli.arguments import (
    Classes,
    Json,
    Logits,
    LogProba,
    Positive,
    Proba,
    Sources,
    one_kind,
)
from crossentropy.cli.evaluation_errors import errors_with_codes
from crossentropy.cli.sections import print_sections, write_page
from crossentropy.training.output import check_file

FOUND = 1
#: The most classes whose names are printed.
SHOWN = 12


def doctor(
    sources: Sources,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the labels.")],
    proba: Proba = None,
    logits: Logits = None,
    log_proba: LogProba = None,
    classes: Classes = None,
    positive: Positive = None,
    ignore_index: Annotated[
        int | None, typer.Option(metavar="N", help="The label whose rows are left out.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page as well.")] = None,
    json: Json = False,
) -> None:
    """Find what is wrong with predictions, their labels, and the way that a loss is to be called with them.

    The exit code is 0 if nothing was found, 1 if something was, 2 if the command is wrong, 3 if a file cannot be read.
    """
    with errors_with_codes():
        kind, columns = one_kind(proba, logits, log_proba)
        if html is not None:
            check_file(html)

        from crossentropy.evaluation._tables import needs_pyarrow

        with needs_pyarrow():
            from crossentropy.doctor._files import read_predictions
        from crossentropy.doctor import examine

        x, y, called = read_predictions(
            sources, kind, columns, label, None if classes is None else classes.split(","), positive
        )
        names = {"proba": "probabilities", "log_proba": "log_probabilities"}
        given: dict[str, Any] = {names.get(kind, kind): x}
        report = examine(labels=y, ignore_index=ignore_index, **given)
        report.looked_at += _names(called)
        if html is not None:
            write_page(report.to_html(), html)
        if json:
            from crossentropy.evaluation._display import to_json

            typer.echo(to_json(report.to_dict(), indent=2))
        else:
            print_sections(report.sections(), Console(highlight=False))
    if report:
        raise typer.Exit(FOUND)


def _names(classes: Sequence[Any]) -> str:
    """Say which class has which number, since findings name classes by their numbers."""
    if list(classes) == list(range(len(classes))):
        return ""
    shown = ", ".join(f"{number} is {name!r}" for number, name in enumerate(classes[:SHOWN]))
    return f"; class {shown}{', …' if len(classes) > SHOWN else ''}"
