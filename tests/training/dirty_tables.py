"""Draw tables as people have them: clean tables with a known rule, dirtied, with what should become of them."""

import gzip
import io
import re
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


def naming(values, remark: str) -> Cells:
    """Cells that name the rows."""
    return Cells([str(value) for value in values], "id", None, remark)


@dataclass
class Drawn:
    """A table that was drawn, and what should happen to it."""

    columns: dict[str, Cells]
    label: list[str]
    name: str = "label"
    #: patterns of what must be said, and of the refusal if there must be one
    said: list[str] = field(default_factory=list)
    refused: str = ""
    options: dict[str, object] = field(default_factory=dict)
    #: whether the held-out score must be that of the clean table
    same_score: bool = True
    #: rows that are held out of the comparison of values, as they were added or changed
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
        columns = {f"x{i}": _numbers(x[:, i]) for i in range(3)}
        columns["color"] = Cells(color.tolist(), "category", color.astype(object))
        return Drawn(columns, np.where(score > 0.5, "yes", "no").tolist())
    bunch = getattr(datasets, f"load_{kind}")()
    rows = random.permutation(len(bunch.target))[:ROWS]
    columns = {
        str(name).replace(" ", "_"): _numbers(bunch.data[rows, i])
        for i, name in enumerate(bunch.feature_names[:6])
    }
    return Drawn(columns, bunch.target_names[bunch.target[rows]].tolist())


def _numbers(values: np.ndarray) -> Cells:
    return Cells([repr(float(value)) for value in values], "number", np.asarray(values, dtype=np.float64))


def first_number(drawn: Drawn) -> str:
    return next(name for name, cells in drawn.columns.items() if cells.is_number and cells.truth is not None)


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
DIRTS: list[Dirt] = []


def dirt(function: Dirt) -> Dirt:
    DIRTS.append(function)
    return function


def add(drawn: Drawn, name: str, cells: Cells, *, first: bool = False) -> None:
    new = {name: cells}
    drawn.columns = new | drawn.columns if first else drawn.columns | new


@dirt
def id_texts(drawn, random):
    texts = [f"c-{i:x}" for i in random.permutation(10**5)[: len(drawn.label)]]
    add(drawn, "customer", Cells(texts, "dropped", None, "different texts"))


@dirt
def row_counter(drawn, random):
    start = int(random.integers(0, 10**6))
    add(
        drawn,
        str(random.choice(["nr", "case", "when_seen"])),
        naming(range(start, start + len(drawn.label)), "counts the rows"),
    )


@dirt
def index_of_to_csv(drawn, random):
    gaps = np.sort(random.permutation(10 * ROWS)[: len(drawn.label)])
    add(drawn, "", naming(gaps, "no name and numbers the rows"), first=True)
    drawn.texts_only = True


@dirt
def shuffled_numbers_of_rows(drawn, random):
    add(
        drawn,
        "place",
        naming(random.permutation(len(drawn.label)) + 1, "numbers the rows"),
    )


@dirt
def long_ids(drawn, random):
    numbers = random.permutation(10**6)[: len(drawn.label)] + 4 * 10**18
    add(drawn, "account", naming(numbers, "too long"))


@dirt
def named_ids(drawn, random):
    numbers = random.permutation(10**6)[: len(drawn.label)]
    add(
        drawn,
        str(random.choice(["user_id", "ID", "orderId"])),
        naming(numbers, "called an id"),
    )


@dirt
def large_nearly_constant_numbers(drawn, random):
    numbers = random.permutation(10**4)[: len(drawn.label)] + 10**12
    add(drawn, "ticket", Cells([str(i) for i in numbers], "number", numbers.astype(float)))


@dirt
def constant(drawn, random):
    add(drawn, "country", Cells(["DE"] * len(drawn.label), "dropped", None, "same value in every row"))


@dirt
def all_missing(drawn, random):
    written = str(random.choice(["", "NA", "NaN", "null"]))
    add(drawn, "fax", Cells([written] * len(drawn.label), "dropped", None, "no value"))


@dirt
def free_text(drawn, random):
    texts = [f'they said "{i * i}", and\nleft; {i}' for i in range(len(drawn.label))]
    add(drawn, "comment", Cells(texts, "dropped", None, "free text"))


@dirt
def question_mark(drawn, random):
    name, written = first_number(drawn), str(random.choice(["?", "-", "n.a.", "#DIV/0!", "oops"]))
    cells = drawn.columns[name]
    if len(np.unique(cells.truth[~np.isnan(cells.truth)])) <= 21 or cells.remark:
        return
    row = int(random.integers(len(drawn.label)))
    cells.texts[row], cells.truth = written, cells.truth.copy()
    cells.truth[row] = np.nan
    cells.remark = r"cells? (is no number|are no numbers), so missing: " + written.replace(
        "?", r"\?"
    ).replace(".", ".?").join("''")


@dirt
def missing_numbers(drawn, random):
    cells = drawn.columns[first_number(drawn)]
    lost = (random.random(len(drawn.label)) < 0.1) & np.isfinite(cells.truth)
    written = random.choice(["", "NA", "NaN", "NULL", "#N/A"], len(lost))
    cells.texts = [str(w) if m else text for text, w, m in zip(cells.texts, written, lost, strict=True)]
    cells.truth = np.where(lost, np.nan, cells.truth)
    drawn.same_score = False


@dirt
def units(drawn, random):
    unit = str(random.choice([" kg", "%", " °C", "km/h", " €"]))
    decorate(drawn, random, lambda text: text + unit, re.escape(unit.strip()) + ".*taken off")


@dirt
def currency(drawn, random):
    mark = str(random.choice(["$", "€", "£", "USD "]))
    decorate(
        drawn,
        random,
        lambda text: "-" + mark + text[1:] if text.startswith("-") else mark + text,
        re.escape(mark.strip()) + ".*taken off",
    )


def decorate(drawn: Drawn, random: np.random.Generator, write: Callable[[str], str], remark: str) -> None:
    values = random.normal(size=len(drawn.label)).round(2) * 10
    texts = [write(f"{value:.2f}") for value in values]
    add(drawn, f"measured{len(drawn.columns)}", Cells(texts, "number", values.round(2), remark))


@dirt
def thousands(drawn, random):
    values = random.integers(1000, 10**7, len(drawn.label))
    values[0] = 1234567
    add(
        drawn,
        "revenue",
        Cells([f"{value:,}.5" for value in values], "number", values + 0.5, "thousands marked"),
    )


@dirt
def units_mixed(drawn, random):
    texts = [f"{i * 37 % 101} {'kg' if i % 2 else 'lb'}" for i in range(len(drawn.label))]
    add(drawn, "weight", Cells(texts, "dropped", None, "different units, 'kg' and 'lb'"))


@dirt
def dates(drawn, random):
    days = np.datetime64("2019-01-01") + random.integers(0, 1500, len(drawn.label))
    form = str(
        random.choice(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d", "%d %b %Y", "%Y-%m-%dT%H:%M:%S"])
    )
    texts = pd.Series(days).dt.strftime(form).tolist()
    add(drawn, "born", Cells(texts, "date", days.astype("datetime64[us]")))


@dirt
def codes(drawn, random):
    values = random.choice(["01", "1", "007", "7", "10"], len(drawn.label))
    values[:2] = "01", "1"
    add(drawn, "plant", Cells(values.tolist(), "category", values.astype(object), "leading zeros"))


@dirt
def booleans(drawn, random):
    values = random.random(len(drawn.label)) < 0.5
    values[:2] = True, False
    spelled = str.lower if random.random() < 0.5 else str
    truth = values.astype(str).astype(object)
    add(drawn, "paid", Cells([spelled(text) for text in truth], "category", truth))


@dirt
def categories_many(drawn, random):
    values = np.array([f"city {i}" for i in random.integers(0, 60, len(drawn.label))], dtype=object)
    add(drawn, "city", Cells(values.tolist(), "category", values))
    drawn.same_score = False


@dirt
def categories_with_a_few_numbers(drawn, random):
    values = random.choice(["1", "2", "3+"], len(drawn.label)).astype(object)
    values[:3] = "1", "2", "3+"
    add(drawn, "children", Cells(values.tolist(), "category", values))


@dirt
def capital_letters(drawn, random):
    values = random.choice(["Yes", "yes", "no"], len(drawn.label)).astype(object)
    values[:3] = "Yes", "yes", "no"
    add(drawn, "smoker", Cells(values.tolist(), "category", values, "capital letters"))


@dirt
def blanks_around(drawn, random):
    for cells in drawn.columns.values():
        cells.texts = [f" {text} " if "\n" not in text else text for text in cells.texts]


@dirt
def extreme_number(drawn, random):
    cells = drawn.columns[first_number(drawn)]
    row = int(random.integers(len(drawn.label)))
    written = str(random.choice(["1e39", "-1e300", "1e400", "inf", "-inf"]))
    cells.texts[row], cells.truth = written, cells.truth.copy()
    cells.truth[row] = float(written)
    drawn.said.append(rf"1 extreme number, such as {float(written):g} in row {row}".replace("+", r"\+"))


@dirt
def leak(drawn, random):
    other = {value: f"result {i}" for i, value in enumerate(sorted(set(drawn.label)))}
    texts = [other[value] for value in drawn.label]
    add(drawn, "outcome", Cells(texts, "category", np.array(texts, dtype=object)))
    drawn.said.append("Column 'outcome' alone tells")
    drawn.same_score = False


@dirt
def leak_in_a_number(drawn, random):
    index = {value: i for i, value in enumerate(sorted(set(drawn.label)))}
    values = np.array([index[value] for value in drawn.label]) + 0.3 * random.random(len(drawn.label)).round(
        3
    )
    add(drawn, "risk", _numbers(values))
    drawn.said.append("Column 'risk' alone tells")
    drawn.same_score = False


@dirt
def sorted_rows(drawn, random):
    reorder(drawn, np.argsort(np.array(drawn.label), kind="stable"))
    drawn.said.append("rows are sorted by their label")


@dirt
def repeated_rows(drawn, random):
    n = len(drawn.label)
    reorder(drawn, random.permutation(np.concatenate([np.arange(n), random.integers(0, n, n // 3)])))
    drawn.said.append("rows repeat another row")


def reorder(drawn: Drawn, rows: np.ndarray) -> None:
    """Take rows; columns that count them were added before, so they are dropped for another reason, or are not."""
    drawn.columns = {
        name: cells for name, cells in drawn.columns.items() if cells.use not in ("dropped", "id")
    }
    for cells in drawn.columns.values():
        cells.texts = [cells.texts[i] for i in rows]
        cells.truth = cells.truth[rows]
    drawn.label = [drawn.label[i] for i in rows]
    drawn.said = [pattern for pattern in drawn.said if "in row" not in pattern and "sorted" not in pattern]
    drawn.same_score = False


@dirt
def rare_class(drawn, random):
    drawn.label[:2] = "rare", "rare"
    drawn.options["min_class"] = 5
    drawn.said.append(r"fewer than 5 rows \('rare'; 2 rows\) are left out")
    drawn.same_score = False


# what is refused, or depends on the form of a text


@dirt
def rows_end_in_a_separator(drawn, random):
    drawn.tail, drawn.texts_only = "yes", True
    drawn.said.append("ends in a separator")


@dirt
def blank_lines(drawn, random):
    drawn.lines = lambda lines: ["", lines[0], "", *lines[1:], "", ""]
    drawn.texts_only = True


@dirt
def label_twice(drawn, random):
    add(drawn, drawn.name, Cells(list(drawn.label), "dropped"))
    drawn.header = [*drawn.columns, drawn.name]
    drawn.refused, drawn.texts_only = "several columns of the same name: 'label'", True


@dirt
def name_twice(drawn, random):
    names = list(drawn.columns)
    drawn.header = [*names[:-1], names[-2] or drawn.name, drawn.name]
    drawn.refused, drawn.texts_only = "several columns of the same name", True


@dirt
def no_header(drawn, random):
    drawn.lines, drawn.texts_only = lambda lines: lines[1:], True
    drawn.refused = "no column named label|seems to be a row|same name"


@dirt
def ragged_row(drawn, random):
    row = int(random.integers(2, ROWS // 2))
    drawn.columns = {name: cells for name, cells in drawn.columns.items() if "\n" not in cells.texts[0]}
    drawn.lines = lambda lines: [*lines[:row], lines[row] + drawn.separator + "more", *lines[row + 1 :]]
    drawn.refused, drawn.texts_only = "rows? ha(s|ve) .* fields", True


@dirt
def empty_file(drawn, random):
    drawn.content, drawn.texts_only = (lambda content: b""), True
    drawn.refused = "is empty"


@dirt
def only_a_header(drawn, random):
    drawn.lines, drawn.texts_only = lambda lines: lines[:1], True
    drawn.refused = "holds no rows|no column named"


@dirt
def missing_label(drawn, random):
    drawn.label[int(random.integers(len(drawn.label)))] = ""
    drawn.refused = "1 row has no label"


@dirt
def zip_archive(drawn, random):
    drawn.content, drawn.texts_only = (lambda content: b"PK\x03\x04" + content), True
    drawn.refused = "zip archive or an Excel workbook"


@dirt
def zero_bytes(drawn, random):
    drawn.content, drawn.texts_only = (lambda content: b"a,label\n1,x\n" + bytes(100)), True
    drawn.refused = "zero bytes"


def draw(seed: int) -> Drawn:
    """Draw a clean table and up to four kinds of dirt."""
    random = np.random.default_rng([seed, 2])
    drawn = draw_clean(seed % 40)
    for i in np.sort(random.choice(len(DIRTS), size=int(random.integers(0, 5)), replace=False)):
        if not drawn.refused:
            DIRTS[i](drawn, random)
            drawn.dirt.append(DIRTS[i].__name__)
    return drawn
