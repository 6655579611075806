"""Sections of a result, as text and as HTML: a title, sentences, a table, and the line to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Section", "sections_html", "sections_page", "sections_text"]


@dataclass(frozen=True)
class Section:
    """One part of a result, under a title; `rows` are the lines of a table whose columns have `heads`."""

    title: str
    lines: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    #: Code for the reader to write.
    code: str = ""


def sections_text(sections: Sequence[Section]) -> str:
    """Write sections below each other.

    >>> print(sections_text([Section("Loss", ["in nats"], ("class", "p"), [("cat", "0.5"), ("dog", "0.25")])]))
    Loss
      in nats
      class     p
      cat     0.5
      dog    0.25
    """
    return "\n\n".join("\n".join(_text(section)) for section in sections)


def _text(section: Section) -> list[str]:
    indented = [*section.lines, *_aligned(section), *section.code.splitlines()]
    return [section.title, *(f"  {line}" for line in indented)]


def _aligned(section: Section) -> list[str]:
    """Return the lines of the table: names to the left, numbers to the right."""
    if not section.rows:
        return []
    cells = [section.heads, *section.rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        lines.append(
            "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()
        )
    return lines


def sections_html(sections: Sequence[Section], *, level: int = 2) -> str:
    """Write sections as elements of a page, their titles as headings of a level."""
    return "\n".join(_html(section, level) for section in sections)


def _html(section: Section, level: int) -> str:
    parts = [f"<h{level}>{escape(section.title)}</h{level}>"]
    parts += [f"<p>{escape(line)}</p>" for line in section.lines]
    if section.rows:
        heads = "".join(f'<th scope="col"{_name(i)}>{escape(x)}</th>' for i, x in enumerate(section.heads))
        rows = "".join(
            f"<tr>{''.join(f'<td{_name(i)}>{escape(x)}</td>' for i, x in enumerate(row))}</tr>"
            for row in section.rows
        )
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        parts.append(
            f'<div class="table" role="region" aria-label="{escape(section.title)}" tabindex="0">{table}</div>'
        )
    if section.code:
        parts.append(f"<pre>{escape(section.code)}</pre>")
    return "\n".join(parts)


def _name(i: int) -> str:
    """Return the class of the first cell of a row, which is a name."""
    return "" if i else ' class="name"'


def sections_page(title: str, sections: Sequence[Section]) -> str:
    """Write sections as a page in one file, which asks for nothing and runs nothing."""
    from markupsafe import Markup

    from crossentropy._report.templating import render

    body = Markup(sections_html(sections))
    return render("sections.html.j2", {"title": title, "body": body})
