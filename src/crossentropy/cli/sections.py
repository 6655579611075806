"""Print sections of a result, and write pages."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crossentropy._report.sections import Section
from crossentropy.cli.evaluation_report import write_bytes

__all__ = ["print_sections", "write_page"]


def print_sections(sections: Sequence[Section], console: Console) -> None:
    """Print sections: a bold title, sentences, a table, code as it is to be copied."""
    for i, section in enumerate(sections):
        if i:
            console.print()
        console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
        if section.rows:
            table = Table(box=None, pad_edge=False)
            for j, head in enumerate(section.heads):
                table.add_column(Text(head), justify="right" if j else "left")
            for row in section.rows:
                table.add_row(*map(Text, row))
            console.print(Padding(table, (0, 0, 0, 2), expand=False))
        for line in section.code.splitlines():
            console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)  # never cut: it is to be copied


def write_page(html: str, path: Path) -> None:
    """Write a page, complete or not at all."""
    write_bytes(html.encode(), path)
