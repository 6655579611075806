"""The verb ``doctor``."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from crossentropy.cli.arguments import (
    Classes,
    Html,
    Json,
    Logits,
    LogProba,
    Positive,
    Proba,
    Sources,
    class_names,
    one_kind,
)
from crossentropy.cli.evaluation_errors import errors_with_codes
from crossentropy.cli.sections import show
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
    html: Html = None,
    json: Json = False,
) -> None:
    """Find what is wrong with predictions, their labels, and the way that a loss is to be called with them.

    The exit code is 0 if nothing was found, 1 if something was, 2 if the command is wrong, 3 if a file cannot be read.
    """
    with errors_with_codes():
        for source in sources:
            if source.endswith((".py", ".ipynb")):
                raise ValueError(
                    f"{source} is code; pass a file of predictions. To look at a training loop, write "
                    "`with crossentropy.doctor.watch() as report:` around it, and print(report) after it"
                )
        kind, columns = one_kind(proba, logits, log_proba)
        if html is not None:
            check_file(html)

        from crossentropy.evaluation._tables import needs_pyarrow

        with needs_pyarrow():
            from crossentropy.doctor._files import read_predictions
        from crossentropy.doctor import examine

        x, y, called = read_predictions(sources, kind, columns, label, class_names(classes), positive)
        names = {"proba": "probabilities", "log_proba": "log_probabilities"}
        given: dict[str, Any] = {names.get(kind, kind): x}
        report = examine(labels=y, ignore_index=ignore_index, **given)
        report.looked_at += _names(called)
        show(report, html, as_json=json)
    if report:
        raise typer.Exit(FOUND)


def _names(classes: Sequence[Any]) -> str:
    """Say which class has which number, since findings name classes by their numbers."""
    if list(classes) == list(range(len(classes))):
        return ""
    shown = ", ".join(f"{number} is {name!r}" for number, name in enumerate(classes[:SHOWN]))
    return f"; class {shown}{', …' if len(classes) > SHOWN else ''}"
