"""Show results that are sections: print them, and write them as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crossentropy._report.sections import Section
from crossentropy.cli.evaluation_report import write_bytes
from crossentropy.training.terminal import terminal

__all__ = ["show"]


class Result(Protocol):
    """What `show` needs of a result."""

    def sections(self) -> list[Section]: ...

    def to_dict(self) -> dict[str, Any]: ...

    def to_html(self) -> str: ...


def show(result: Result, html: Path | None, *, as_json: bool) -> None:
    """Write the page of a result if one is asked for, then print the result: as JSON, or its sections."""
    if html is not None:
        write_bytes(result.to_html().encode(), html)
    if as_json:
        from crossentropy.evaluation._display import to_json

        typer.echo(to_json(result.to_dict(), indent=2))
    else:
        _print_sections(result.sections(), terminal())


def _print_sections(sections: Sequence[Section], console: Console) -> None:
    """Print sections: a bold title, sentences, a table, code as it is to be copied."""
    for i, section in enumerate(sections):
        if i:
            console.print()
        console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(Padding(line, (0, 0, 0, 2)))
        if section.rows:
            table = Table(box=None, pad_edge=False)
            for j, head in enumerate(section.heads):
                table.add_column(head, justify="right" if j else "left")
            for row in section.rows:
                table.add_row(*row)
            console.print(Padding(table, (0, 0, 0, 2), expand=False))
        for line in section.code.splitlines():
            console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)  # never cut: it is to be copied
