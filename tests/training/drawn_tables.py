"""Tables with what should become of them: clean ones with a known rule, and how any is written to a file."""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

ROWS = 240


@dataclass
class Cells:
    """A column: its texts, what it should be used for, and the values that should be read."""

    texts: list[str]
    use: str
    truth: np.ndarray | None = None
    remark: str = ""

    @property
    def is_number(self) -> bool:
        return self.use == "number"


@dataclass
class Drawn:
    """A table that was drawn, and what should happen to it."""

    columns: dict[str, Cells]
    label: list[str]
    name: str = "label"
    #: patterns of the notices that must be printed, and of the refusal if there must be one
    said: list[str] = field(default_factory=list)
    refused: str = ""
    options: dict[str, object] = field(default_factory=dict)
    #: whether the held-out score must be that of the clean table
    same_score: bool = True
    #: names of the kinds of dirt, for the message of a test that fails
    dirt: list[str] = field(default_factory=list)
    header: list[str] | None = None
    tail: str = ""
    lines: Callable[[list[str]], list[str]] = lambda lines: lines
    content: Callable[[bytes], bytes] = lambda content: content
    texts_only: bool = False
    separator: str = ","


def draw_clean(seed: int) -> Drawn:
    """Draw a clean table: a bundled one, some of its rows in random order, or numbers and categories with a rule."""
    random = np.random.default_rng([seed, 1])
    kind = ("rule", "rule", "iris", "wine", "breast_cancer")[seed % 5]
    if kind == "rule":
        x = random.normal(size=(ROWS, 3)).round(3)
        color = random.choice(["red", "green", "blue", "grün, hell"], ROWS)
        score = x[:, 0] * 2 - x[:, 1] + 2.0 * (color == "red") + 0.5 * random.normal(size=ROWS)
        columns = {f"x{i}": number_cells(x[:, i]) for i in range(3)}
        columns["color"] = Cells(color.tolist(), "category", color.astype(object))
        return Drawn(columns, np.where(score > 0.5, "yes", "no").tolist())
    bunch = getattr(datasets, f"load_{kind}")()
    rows = random.permutation(len(bunch.target))[:ROWS]
    columns = {
        str(name).replace(" ", "_"): number_cells(bunch.data[rows, i])
        for i, name in enumerate(bunch.feature_names[:6])
    }
    return Drawn(columns, bunch.target_names[bunch.target[rows]].tolist())


def number_cells(values: np.ndarray) -> Cells:
    return Cells([repr(float(value)) for value in values], "number", np.asarray(values, dtype=np.float64))


def write(drawn: Drawn, folder: Path, random: np.random.Generator) -> Path:
    """Write the table in a form drawn by chance: Parquet, or a text with any separator, mark and encoding."""
    if random.random() < 0.2 and not drawn.texts_only:
        return _write_parquet(drawn, folder)
    drawn.separator = separator = str(random.choice([",", ";", "\t", "|"]))
    decimal = "," if separator != "," and random.random() < 0.4 else "."
    names = drawn.header or [*drawn.columns, drawn.name]
    columns = [
        [_with_mark(text, decimal) for text in cells.texts] if cells.is_number else cells.texts
        for cells in drawn.columns.values()
    ]
    quote_all = random.random() < 0.2
    rows = [names, *zip(*columns, drawn.label, strict=True)]
    lines = [separator.join(_quoted(cell, separator, quote_all) for cell in row) for row in rows]
    lines = [lines[0], *(line + (separator if drawn.tail else "") for line in lines[1:])]
    lines = drawn.lines(lines)
    ending = str(random.choice(["\n", "\r\n"]))
    text = ending.join(lines) + (ending if random.random() < 0.9 else "")
    encoding = str(random.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"], p=[0.7, 0.1, 0.1, 0.1]))
    content = drawn.content(text.encode(encoding))
    zipped = random.random() < 0.1
    path = folder / f"table{random.choice(['.csv', '.tsv', '.txt'])}{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(content, 1, mtime=0) if zipped else content)
    if encoding.startswith("utf-16"):
        drawn.said.append("was read as UTF-16")
    if zipped:
        drawn.said.append("decompressed by gzip")
    drawn.dirt.append(f"{separator!r} {decimal} {encoding}")
    return path


def _with_mark(text: str, decimal: str) -> str:
    return text.translate(str.maketrans(".,", ",.")) if decimal == "," else text


def _quoted(cell: str, separator: str, always: bool) -> str:
    if always or any(mark in cell for mark in (separator, '"', "\n")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _write_parquet(drawn: Drawn, folder: Path) -> Path:
    plain = {
        name: cells.truth if cells.is_number and cells.truth is not None and not cells.remark else cells.texts
        for name, cells in drawn.columns.items()
    }
    frame = pd.DataFrame(plain | {drawn.name: drawn.label})
    path = folder / "table.parquet"
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    path.write_bytes(buffer.getvalue())
    drawn.dirt.append("parquet")
    return path


Dirt = Callable[[Drawn, np.random.Generator], None]


def registering(dirts: list[Dirt]) -> Callable[[Dirt], Dirt]:
    """Return a decorator that appends a kind of dirt to a list."""

    def dirt(function: Dirt) -> Dirt:
        dirts.append(function)
        return function

    return dirt


def add(drawn: Drawn, name: str, cells: Cells, *, first: bool = False) -> None:
    new = {name: cells}
    drawn.columns = new | drawn.columns if first else drawn.columns | new
