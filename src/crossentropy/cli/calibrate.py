"""The verb ``calibrate``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from crossentropy._versions import StrEnum
from crossentropy.cli.arguments import (
    Classes,
    Json,
    Logits,
    LogProba,
    Policy,
    Positive,
    Proba,
    SoftLabels,
    Sources,
    SumTolerance,
    Weight,
    class_names,
    names_of,
    one_kind,
)
from crossentropy.cli.evaluation_errors import errors_with_codes
from crossentropy.cli.evaluation_report import progress_of_rows, write_bytes
from crossentropy.training.output import check_file, check_new_file, write_file
from crossentropy.training.terminal import terminal


class Method(StrEnum):
    """How predictions are calibrated."""

    temperature = "temperature"
    platt = "platt"
    beta = "beta"
    vector = "vector"
    matrix = "matrix"
    isotonic = "isotonic"
    auto = "auto"


def calibrate(
    sources: Sources,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the labels, to fit a calibrator to.")
    ] = None,
    proba: Proba = None,
    logits: Logits = None,
    log_proba: LogProba = None,
    method: Annotated[
        Method,
        typer.Option(
            help="How to calibrate; auto chooses by the cross-validated gain, or recommends nothing."
        ),
    ] = Method.auto,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the fitted calibrator, as JSON.")
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Calibrate by what --save has written, without fitting."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --apply: table to write, .parquet or .csv, with columns calibrated_LABEL.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
    classes: Classes = None,
    positive: Positive = None,
    soft_labels: SoftLabels = False,
    weight: Weight = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Rows with equal values here are in one fold, and are not taken for independent.",
        ),
    ] = None,
    on_bad_rows: Annotated[
        Policy,
        typer.Option(
            help="In fitting, whether a row that cannot be scored is an error, or is left out and counted."
        ),
    ] = Policy.error,
    sum_tolerance: SumTolerance = None,
    json: Json = False,
) -> None:
    """Fit a calibrator to predictions (--save), or calibrate predictions by one (--apply).

    A fit prints what the method gains on rows that it was not fitted to, with its interval. The exit code is 0, 2 if
    the command is wrong, 3 if the data are.
    """
    with errors_with_codes():
        kind, columns = one_kind(proba, logits, log_proba)
        if (save is None) == (apply is None):
            raise ValueError("pass one of --save, to fit a calibrator and write it, and --apply, to use one")
        if save is not None:
            if label is None:
                raise ValueError("pass --label, the column of the labels to fit to")
            if out is not None:
                raise ValueError("--out is written with --apply; with --save, leave it out")
            check_file(save)

            from crossentropy.evaluation._scoring import Columns, Request
            from crossentropy.evaluation.calibrators._tables import fit_to_source

            request = Request(
                kind,
                classes=class_names(classes),
                positive=positive,
                soft_labels=soft_labels,
                weighted=weight is not None,
                clustered=cluster is not None,
                on_bad_rows=on_bad_rows.value,
                sum_tolerance=sum_tolerance,
            )
            names = Columns(columns, names_of(label) if soft_labels else label, weight, cluster)
            with progress_of_rows() as on_rows:
                fitted, gains = fit_to_source(method.value, sources, names, request, on_rows=on_rows)
            write_bytes(fitted.to_json().encode(), save)
            _print_gains(gains, _verdict(fitted, gains, save), as_json=json)
        elif apply is not None:
            if out is None:
                raise ValueError("pass --out, the table to write")
            if label is not None or weight is not None or cluster is not None or soft_labels or json:
                raise ValueError(
                    "--label, --soft-labels, --weight, --cluster and --json are for --save; leave them out with --apply"
                )
            check_new_file(out, overwrite=overwrite)
            check_file(out)
            count = _apply(apply, sources, kind, columns, out, sum_tolerance)
            terminal(stderr=True).print(f"{count:,} rows are in {out}.", soft_wrap=True)


def _apply(
    path: Path, sources: list[str], kind: str, columns: Any, out: Path, tolerance: float | None
) -> int:
    from crossentropy.evaluation.calibrators import load
    from crossentropy.evaluation.calibrators._tables import calibrated_batches, write_batches

    calibrator = load(path)
    if calibrator.kind != kind:
        option = calibrator.kind.replace("_", "-")
        raise ValueError(
            f"{path} was fitted to --{option}, and --{kind.replace('_', '-')} is passed; pass --{option}"
        )
    batches = calibrated_batches(calibrator, sources, columns, tolerance=tolerance)
    counts: list[int] = []
    as_csv = out.suffix.lower() == ".csv"
    write_file(lambda unfinished: counts.append(write_batches(batches, unfinished, as_csv=as_csv)), out)
    return counts[0]


def _verdict(fitted: Any, gains: Sequence[Any], save: Path) -> str:
    """Say what the file does, and whether its use is recommended."""
    from crossentropy.evaluation.calibrators import AutoCalibration

    chosen = fitted.calibrator_ if isinstance(fitted, AutoCalibration) else fitted
    if chosen is None:
        return f"No method has a gain beyond chance: none is recommended, and {save} leaves predictions as they are."
    if not gains:
        return f"There are too few rows to estimate the gain of {chosen.method}; {save} is not recommended."
    (gain,) = (gain for gain in gains if gain.method == chosen.method)
    if not gain.is_beyond_chance:
        return f"The gain of {chosen.method} may be chance; {save} is not recommended."
    return f"{chosen.method} is recommended: its gain is beyond chance. It is in {save}."


def _print_gains(gains: Sequence[Any], verdict: str, *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps({"gains": [vars(gain) for gain in gains], "verdict": verdict}, indent=2))
        return
    console = terminal()
    if gains:
        percent = f"{100 * gains[0].confidence:.3g} % interval"
        table = Table(title="on rows out of the fit, in nats", title_justify="left")
        for head in ("method", "log loss", "calibrated", "gain", percent):
            table.add_column(head, justify="left" if head == "method" else "right", no_wrap=True)
        for gain in gains:
            low, high = gain.interval or (float("nan"), float("nan"))
            numbers = (gain.log_loss, gain.calibrated_log_loss, gain.gain)
            table.add_row(gain.method, *(f"{x:.6f}" for x in numbers), f"{low:.6f} to {high:.6f}")
        console.print(table)
    console.print(verdict, soft_wrap=True)
