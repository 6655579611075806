"""Options of ``evaluate`` and ``merge``: those by which scores are computed from a state, and the report."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from crossentropy.cli.arguments import check_interval

__all__ = ["Out", "Prior", "finalizing"]

Prior: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="X,…", help="Probability of each class, which skill is measured against. Default: base rates."
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a report: a page with pictures (.html), text (.md), or the numbers (.json).",
    ),
]


def finalizing(interval: float, prior: str | None) -> float | list[float] | None:
    """Check both options; return the prior as a number, a list of them, or None.

    Raises
    ------
    ValueError
        If the confidence is none, or the prior has other texts than numbers.
    """
    check_interval(interval)
    if prior is None:
        return None
    try:
        numbers = [float(x) for x in prior.split(",")]
    except ValueError:
        raise ValueError(f"--prior is {prior!r}; pass numbers, as 0.2,0.8") from None
    return numbers if len(numbers) > 1 else numbers[0]
