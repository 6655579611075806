"""The verb ``compare``."""

from pathlib import Path
from typing import Annotated

import typer

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
    SumTolerance,
    Weight,
    check_interval,
    class_names,
    one_kind,
)
from crossentropy.cli.comparison_report import print_comparison
from crossentropy.cli.evaluation_arguments import Out
from crossentropy.cli.evaluation_errors import FAILED_GATE, errors_with_codes
from crossentropy.cli.evaluation_report import print_gates, progress_of_rows, write_junit
from crossentropy.training.output import check_file


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="A file of predictions, or a pattern, for each model; the first one is what others are compared with.",
        ),
    ],
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the labels.")],
    proba: Proba = None,
    logits: Logits = None,
    log_proba: LogProba = None,
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that names each row; rows are paired by it.")
    ] = None,
    by_position: Annotated[
        bool, typer.Option("--by-position", help="Pair rows by their order in the files, in place of --key.")
    ] = False,
    classes: Classes = None,
    positive: Positive = None,
    weight: Weight = None,
    cluster: Cluster = None,
    slice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Compare on the rows of each value of this column; may be given more than once.",
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="H",
            help="Rows are forecasts in the order of time, H steps ahead: errors of Diebold and Mariano.",
        ),
    ] = None,
    interval: Interval = 0.95,
    permutations: Annotated[
        int, typer.Option(metavar="N", help="Replicates of the sign-flip test; 0 leaves it out.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Its seed.")] = 0,
    on_bad_rows: OnBadRows = Policy.error,
    sum_tolerance: SumTolerance = None,
    not_worse_than: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Gate: fail if a model is worse than this one beyond chance. A file of predictions, then the others "
            "are compared with it; or what evaluate --json has printed, then the test is unpaired.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="With --not-worse-than: fail unless the interval of the difference ends at X nats or below.",
        ),
    ] = None,
    json: Json = False,
    out: Out = None,
    junit: Junit = None,
) -> None:
    """Compare models on the same rows: paired differences of the log loss, and what makes them.

    The exit code is 0, 1 if a gate failed, 2 if the command is wrong, 3 if the data are.
    """
    with errors_with_codes():
        kind, predictions = one_kind(proba, logits, log_proba)
        check_interval(interval)
        if margin is not None and not_worse_than is None:
            raise ValueError("--margin is how much worse than --not-worse-than a model may be; pass both")
        if junit is not None:
            check_file(junit)

        from crossentropy.cli.evaluation_pages import check_page, write_page
        from crossentropy.evaluation._compare import compare_tables
        from crossentropy.evaluation._comparison.differences import Tests
        from crossentropy.evaluation._comparison.gates import paired_gate, read_baseline, unpaired_gate
        from crossentropy.evaluation._scoring import Columns, Request

        if out is not None:
            check_page(out)
        alone = not_worse_than is not None and not_worse_than.endswith(".json")
        baseline = read_baseline(Path(not_worse_than)) if alone and not_worse_than else None
        models = list(dict.fromkeys([*([not_worse_than] if not_worse_than and not alone else []), *sources]))
        if len(models) < 2 and baseline is None:
            raise ValueError("pass two different files or more, one for each model")
        if len(models) < 2 and out is not None:
            raise ValueError(
                f"--out has the differences of rows, and {not_worse_than} has no rows; pass the predictions it was "
                "made of, or crossentropy evaluate --out for a report of one model"
            )
        slices = tuple(dict.fromkeys(slice or ()))
        columns = Columns(predictions, label, weight, cluster, key, {name: name for name in slices})
        request = Request(
            kind,
            classes=class_names(classes),
            positive=positive,
            weighted=weight is not None,
            clustered=cluster is not None,
            slices=slices,
            on_bad_rows=on_bad_rows.value,
            sum_tolerance=sum_tolerance,
        )
        tests = Tests(interval, horizon, permutations, seed, worst=20)
        with progress_of_rows() as on_rows:
            result = compare_tables(
                dict(zip(models, models, strict=True)),
                columns,
                request,
                tests,
                by_position=by_position,
                typed_classes=False,
                on_rows=on_rows,
            )
        limit = f"{not_worse_than}" + ("" if margin is None else f" --margin {margin:g}")
        gates = []
        if baseline is not None:
            gates = [unpaired_gate(m, e, baseline, margin, limit) for m, e in result.evaluations.items()]
        elif not_worse_than is not None:
            gates = [paired_gate(difference, margin, limit) for difference in result.differences]
        if out is not None:
            write_page(result, out, models, gates)
        if junit is not None:
            write_junit(gates, junit, verb="compare")
        print_comparison(result, as_json=json)
        print_gates(gates)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(FAILED_GATE)
