"""The verb ``evaluate``."""

from typing import Annotated

import typer

from crossentropy._versions import StrEnum
from crossentropy.cli.arguments import (
    Classes,
    Cluster,
    Interval,
    Json,
    Junit,
    Logits,
    LogProba,
    OnBadRows,
    Policy,
    Positive,
    Proba,
    SoftLabels,
    Sources,
    SumTolerance,
    Weight,
    WriteState,
    class_names,
    names_of,
    one_kind,
)
from crossentropy.cli.evaluation_arguments import Out, Prior, finalizing
from crossentropy.cli.evaluation_errors import FAILED_GATE, errors_with_codes
from crossentropy.cli.evaluation_report import (
    print_gates,
    print_result,
    progress_of_rows,
    write_bytes,
    write_junit,
)
from crossentropy.training.output import check_file


class Clip(StrEnum):
    """Whose clipping is reproduced."""

    none = "none"
    sklearn = "sklearn"
    kaggle = "kaggle"
    spark = "spark"


def evaluate(
    sources: Sources,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the labels.")],
    proba: Proba = None,
    logits: Logits = None,
    log_proba: LogProba = None,
    classes: Classes = None,
    positive: Positive = None,
    soft_labels: SoftLabels = False,
    weight: Weight = None,
    cluster: Cluster = None,
    slice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Score the rows of each value of this column; may be given more than once."
        ),
    ] = None,
    prior: Prior = None,
    clip: Annotated[Clip, typer.Option(help="Reproduce the log loss of a tool that clips.")] = Clip.none,
    interval: Interval = 0.95,
    on_bad_rows: OnBadRows = Policy.error,
    sum_tolerance: SumTolerance = None,
    json: Json = False,
    out: Out = None,
    junit: Junit = None,
    state: WriteState = None,
    max_log_loss: Annotated[
        float | None,
        typer.Option(metavar="X", help="Gate: fail unless the interval of the log loss ends at X or below."),
    ] = None,
    max_ece: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Gate: fail unless the interval of the calibration error ends at X or below."
        ),
    ] = None,
    min_skill: Annotated[
        float | None,
        typer.Option(metavar="X", help="Gate: fail unless the interval of the skill begins at X or above."),
    ] = None,
    max_infinite: Annotated[
        int | None, typer.Option(metavar="N", help="Gate: fail if more rows have an infinite loss.")
    ] = None,
) -> None:
    """Score a file of predictions: log loss with its interval, calibration, slices.

    The exit code is 0, 1 if a gate failed, 2 if the command is wrong, 3 if the data are.
    """
    with errors_with_codes():
        kind, predictions = one_kind(proba, logits, log_proba)
        rates = finalizing(interval, prior)
        for path in (state, junit):
            if path is not None:
                check_file(path)

        from crossentropy.cli.evaluation_pages import check_page, write_page

        if out is not None:
            check_page(out)

        from crossentropy.evaluation._gates import check_gates
        from crossentropy.evaluation._scoring import Columns, Request
        from crossentropy.evaluation._tables import score_tables

        slices = tuple(dict.fromkeys(slice or ()))
        names = Columns(
            predictions,
            names_of(label) if soft_labels else label,
            weight,
            cluster,
            slices={name: name for name in slices},
        )
        request = Request(
            kind,
            soft_labels=soft_labels,
            classes=class_names(classes),
            positive=positive,
            weighted=weight is not None,
            clustered=cluster is not None,
            slices=slices,
            clip=None if clip is Clip.none else clip.value,
            on_bad_rows=on_bad_rows.value,
            sum_tolerance=sum_tolerance,
        )
        with progress_of_rows() as on_rows:
            scored = score_tables(sources, names, request, typed_classes=False, on_rows=on_rows)
        result = scored.finalize(interval=interval, prior=rates)
        gates = check_gates(
            result, max_log_loss=max_log_loss, max_ece=max_ece, min_skill=min_skill, max_infinite=max_infinite
        )
        if state is not None:
            write_bytes(scored.to_bytes(), state)
        if out is not None:
            write_page(result, out, sources, gates)
        if junit is not None:
            write_junit(gates, junit, verb="evaluate")
        print_result(result, ", ".join(sources), as_json=json)
        print_gates(gates)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(FAILED_GATE)
