"""Arguments that several verbs take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Separator = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", help="What separates the columns of a text table: ; or tab, …"),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of a text table that is not UTF-8: latin-1, utf-16, …"),
]
Decimal = Annotated[
    str | None, typer.Option(metavar="MARK", help="Decimal mark of the numbers in a text table, . or ,")
]


class Policy(StrEnum):
    """What becomes of rows that cannot be scored."""

    error = "error"
    skip = "skip"


OnBadRows = Annotated[
    Policy, typer.Option(help="Whether a row that cannot be scored is an error, or is left out and counted.")
]
Interval = Annotated[float, typer.Option(metavar="X", help="Confidence of the intervals.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the gates as a JUnit report.")]


def check_interval(confidence: float) -> None:
    """Check a confidence before anything is read."""
    if not 0 < confidence < 1:
        raise ValueError(f"--interval is {confidence:g}; pass a confidence between 0 and 1, as 0.95")
