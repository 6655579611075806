"""What ``evaluate``, ``merge`` and ``perplexity`` print and write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import typer
from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from crossentropy.cli.evaluation_errors import in_options
from crossentropy.evaluation import Evaluation, LanguageScore
from crossentropy.evaluation._gates import Gate
from crossentropy.training.output import write_file
from crossentropy.training.terminal import terminal

__all__ = [
    "option_of",
    "print_gates",
    "print_language",
    "print_lines",
    "print_result",
    "progress_of_rows",
    "write_bytes",
    "write_junit",
]

#: Lines of a table of groups or rows.
MOST = 20


class _Speed(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> RenderableType:
        return Text("" if task.speed is None else f"{task.speed:,.0f} rows/s")


@contextmanager
def progress_of_rows() -> Iterator[Callable[[int], None]]:
    """Show the number of rows and their speed on stderr while it is a terminal."""
    console = terminal(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} rows"), _Speed(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda rows: progress.update(task, completed=rows)


def print_result(result: Evaluation, title: str, *, as_json: bool) -> None:
    """Print the scores: as JSON, or as tables."""
    if as_json:
        typer.echo(result.to_json())
        return
    console = terminal()
    print_lines(result.rows(), title, console)
    if len(result.classes) > 2:
        console.print(_groups("classes", "class", [c["label"] for c in result.classes], result.classes))
    for column in dict.fromkeys(s["column"] for s in result.slices):
        slices = [s for s in result.slices if s["column"] == column]
        slices.sort(key=lambda s: -(s["share_of_loss"] or 0))
        title = f"slices of {column}, by their share of the loss"
        console.print(_groups(title, "value", [s["slice"] for s in slices], slices))
    if result.n_infinite:
        console.print(_worst(result.worst_rows[: min(MOST, result.n_infinite)]))


def print_language(result: LanguageScore, title: str, *, as_json: bool) -> None:
    """Print the scores of a language model: as JSON, or as a table with its notes."""
    if as_json:
        typer.echo(result.to_json())
        return
    console = terminal()
    print_lines(result.rows(), title, console)
    for note in result.notes:
        console.print(f"Note: {in_options(note)}.")


def print_lines(lines: Sequence[tuple[str, str]], title: str, console: Console) -> None:
    """Print names and values as a table."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in lines:
        table.add_row(name, value)
    console.print(table)


def _groups(title: str, head: str, names: Sequence[Any], groups: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title=title if len(groups) <= MOST else f"{title} ({MOST} of {len(groups)})", title_justify="left"
    )
    table.add_column(head, overflow="fold")
    tested = "adjusted_p_value" in groups[0]
    for head in ("rows", "log loss", "interval", *(("share", "adjusted p") if tested else ())):
        table.add_column(head, justify="right", no_wrap=True)
    for name, group in list(zip(names, groups, strict=True))[:MOST]:
        interval = group.get("interval")
        cells = [
            f"{group['n']:,}" if "n" in group else "",
            _number(group.get("log_loss")),
            f"{interval[0]:.4g}–{interval[1]:.4g}" if interval else "–",
        ]
        if tested:
            share = group["share_of_loss"]
            cells += ["–" if share is None else f"{100 * share:.1f} %", _number(group["adjusted_p_value"])]
        table.add_row(str(name), *cells)
    return table


def _worst(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="rows of infinite loss", title_justify="left")
    for head in ("file", "row", "label"):
        table.add_column(head)
    for row in rows:
        table.add_row(*(str(row.get(key, "")) for key in ("origin", "row", "label")))
    return table


def _number(x: float | None) -> str:
    return "–" if x is None else f"{x:.4g}"


def print_gates(gates: Sequence[Gate]) -> None:
    """Print a line for each gate that failed, on stderr."""
    for gate in gates:
        if not gate.passed:
            typer.echo(f"Failed: {option_of(gate)}: {gate.sentence}", err=True)


def option_of(gate: Gate) -> str:
    """Return a gate as the option that set it, and the model it is about, where there are several."""
    limit = gate.limit if isinstance(gate.limit, str) else f"{gate.limit:g}"
    return f"--{gate.name.replace('_', '-')} {limit}" + (f" ({gate.subject})" if gate.subject else "")


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file, complete or not at all."""
    write_file(lambda unfinished: unfinished.write_bytes(data), path)


def write_junit(gates: Sequence[Gate], path: Path, *, verb: str) -> None:
    """Write a JUnit report of a verb: a test for each gate, or a single one that passed if there are none."""
    failed = [gate for gate in gates if not gate.passed]
    counts = {"tests": str(max(len(gates), 1)), "failures": str(len(failed)), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": f"crossentropy {verb}", **counts})
    for gate in gates:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": f"crossentropy.{verb}", "name": option_of(gate)}
        )
        if gate.passed:
            ElementTree.SubElement(case, "system-out").text = gate.sentence
        else:
            ElementTree.SubElement(case, "failure", {"message": gate.sentence})
    if not gates:
        ElementTree.SubElement(suite, "testcase", {"classname": f"crossentropy.{verb}", "name": verb})
    ElementTree.indent(suites)
    write_bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n", path)
