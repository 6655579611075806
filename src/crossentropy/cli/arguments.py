"""Arguments that several verbs take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from crossentropy._versions import StrEnum

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


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE…",
        help="Files or patterns: Parquet, Arrow, CSV, JSON lines, also in gzip or zstd; - for standard input.",
    ),
]

#: How columns are named.
NAMED = "a name, a list such as p_cat,p_dog, or a pattern such as 'p_*'"

Proba = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help=f"Columns of probabilities: {NAMED}. One column, not of lists, "
        "has the probability of the positive class.",
    ),
]
Logits = Annotated[
    str | None, typer.Option(metavar="COLUMNS", help="Columns of logits, in place of --proba.")
]
LogProba = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Columns of log-probabilities of classes, in place of --proba. Of tokens: crossentropy perplexity.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Labels of the columns, in their order; of one column, the negative and the positive one. Default: "
        "the ends of the names of the columns.",
    ),
]
Positive = Annotated[
    str | None, typer.Option(metavar="LABEL", help="Label that one column of predictions is for.")
]
SoftLabels = Annotated[
    bool,
    typer.Option(
        "--soft-labels", help="The labels are probabilities; --label takes columns as --proba does."
    ),
]
Weight = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the weights of rows.")]
Cluster = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Rows with equal values here are not taken for independent."),
]
SumTolerance = Annotated[
    float | None,
    typer.Option(metavar="X", help="How far the sum of a row's probabilities may be from 1."),
]
OnBadRows = Annotated[
    Policy, typer.Option(help="Whether a row that cannot be scored is an error, or is left out and counted.")
]
Interval = Annotated[float, typer.Option(metavar="X", help="Confidence of the intervals.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page as well.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]
WriteState = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the state, which crossentropy merge adds to others."),
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the gates as a JUnit report.")]


def check_interval(confidence: float) -> None:
    """Check a confidence before anything is read."""
    from crossentropy.evaluation._intervals import check_confidence

    check_confidence(confidence, "--interval")


def names_of(columns: str | None) -> Any:
    """Return a name or a pattern, or a list of names.

    >>> names_of("p_*"), names_of("p_cat,p_dog")
    ('p_*', ['p_cat', 'p_dog'])
    """
    return columns.split(",") if columns and "," in columns else columns


def class_names(classes: str | None) -> list[str] | None:
    """Return the labels of ``--classes``.

    >>> class_names("cat,dog")
    ['cat', 'dog']
    """
    return None if classes is None else classes.split(",")


def one_kind(proba: str | None, logits: str | None, log_proba: str | None) -> tuple[str, Any]:
    """Return what the predictions are, and the names of their columns.

    Raises
    ------
    ValueError
        If not exactly one is passed.
    """
    given = {"proba": proba, "logits": logits, "log_proba": log_proba}
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) != 1:
        passed = " and ".join(f"--{name.replace('_', '-')}" for name in kinds) or "none"
        raise ValueError(
            "pass one of --proba, --logits and --log-proba with the columns of the predictions, such as "
            f"--proba 'p_*'; passed: {passed}"
        )
    return kinds[0], names_of(given[kinds[0]])
