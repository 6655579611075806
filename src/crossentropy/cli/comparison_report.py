"""What ``compare`` prints."""

from typing import Any

import typer
from rich.table import Table

from crossentropy.evaluation import Comparison, Difference
from crossentropy.training.terminal import terminal

__all__ = ["print_comparison"]

#: Lines of a table of slices or rows.
MOST = 10


def print_comparison(result: Comparison, *, as_json: bool) -> None:
    """Print the scores of models and their differences: as JSON, or as tables and sentences."""
    if as_json:
        typer.echo(result.to_json())
        return
    console = terminal()
    console.print(_models(result))
    for difference in result.differences:
        console.print(difference.sentence(), soft_wrap=True)
        console.print(_tests(difference))
        if difference.slices:
            console.print(_slices(difference))
        if difference.rows:
            console.print(_rows(difference))


def _table(title: str, first: tuple[str, ...], others: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in first:
        table.add_column(head, overflow="fold")
    for head in others:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _models(result: Comparison) -> Table:
    table = _table("", ("model",), ("log loss", "interval", "miscalibration", "discrimination"))
    for name, scores in result.evaluations.items():
        table.add_row(
            name,
            _number(scores.log_loss),
            _interval(scores.interval),
            _number(scores.miscalibration),
            _number(scores.discrimination),
        )
    return table


def _tests(difference: Difference) -> Table:
    table = Table(
        title=f"{difference.model} less {difference.reference}",
        title_justify="left",
        show_header=False,
    )
    independent = {"rows": "by rows", "clusters": "by clusters", "series": "of a time series"}
    lines = [
        ("difference, nats", _number(difference.difference)),
        (f"{100 * difference.confidence:g} % interval", _interval(difference.interval)),
        (f"standard error {independent[difference.errors]}", _number(difference.standard_error)),
        ("p of Student's t", _number(difference.p_value)),
        ("  of all models (Holm)", _number(difference.adjusted_p_value)),
        ("p of sign flips", _number(difference.permutation_p_value)),
        ("rows better, worse", f"{difference.n_better:,}, {difference.n_worse:,}"),
        ("difference of miscalibration", _number(difference.miscalibration)),
        ("difference of discrimination", _number(difference.discrimination)),
    ]
    if difference.murphy is not None:
        words = {None: "neither", "both": "the same"}.get(difference.dominant, difference.dominant)
        lines.append(("best by every proper score", str(words)))
    for name, value in lines:
        table.add_row(name, value)
    return table


def _slices(difference: Difference) -> Table:
    count = len(difference.slices)
    title = "slices, by their part of the difference" + (f" ({MOST} of {count})" if count > MOST else "")
    table = _table(title, ("column", "value"), ("rows", "difference", "part", "adjusted p"))
    for s in difference.slices[:MOST]:
        numbers = (_number(s[name]) for name in ("difference", "contribution", "adjusted_p_value"))
        table.add_row(s["column"], s["slice"], f"{s['n']:,}", *numbers)
    return table


def _rows(difference: Difference) -> Table:
    heads = {"row": "row", "label": "label"}
    if "origin" in difference.rows[0]:
        heads = {"origin": "file", **heads}
    others = ("reference", "model", "difference")
    table = _table("rows that make most of the difference", tuple(heads.values()), others)
    for row in difference.rows[:MOST]:
        numbers = (_number(row[name]) for name in others)
        table.add_row(*(str(row[name]) for name in heads), *numbers)
    return table


def _number(x: Any) -> str:
    return "–" if x is None else f"{x:.4g}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
