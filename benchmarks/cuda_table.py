"""The report of the GPU, in Markdown, measured or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from table import grid

NOT_MEASURED = "not measured"
Cells = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Group:
    """Lines of a table that are measured together."""

    labels: Sequence[tuple[str, ...]]  # one for each line
    measure: Callable[[], Cells]


@dataclass(frozen=True)
class Table:
    """One of the page's."""

    title: str
    text: str
    label_head: tuple[str, ...]
    head: tuple[str, ...]
    groups: Sequence[Group]

    def markdown(self, measured: bool, progress: Callable[[str], None]) -> str:
        """With its title."""
        lines: list[tuple[str, ...]] = []
        for group in self.groups:
            cells: Cells = [[NOT_MEASURED] * len(self.head)] * len(group.labels)
            if measured:
                progress(f"{self.title}: {', '.join(group.labels[0])}")
                cells = group.measure()
            lines += [(*label, *line) for label, line in zip(group.labels, cells, strict=True)]
        table = grid((*self.label_head, *self.head), lines, len(self.label_head))
        return f"## {self.title}\n\n{self.text}\n\n{table}"


def report(
    machine: dict[str, str], tables: Sequence[Table], measured: bool, progress: Callable[[str], None]
) -> str:
    """The whole page."""
    parts = ["# On a GPU, side by side", grid(("", ""), machine.items(), 2)]
    return "\n\n".join([*parts, *(table.markdown(measured, progress) for table in tables)]) + "\n"
