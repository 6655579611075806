"""Read a text table, its columns separated by commas, semicolons, tabulators or bars, as columns of texts."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from crossentropy.training.errors import InputError, counted
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.raw import RawTable, checked_names

SEPARATORS = (",", ";", "\t", "|")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabulators", "|": "bars", " ": "spaces"}
_SAMPLE = 200
_HEAD = 1 << 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?\d+,\d+")
_COMMA_DECIMAL = re.compile(
    r"[+-]?((0|[1-9]\d*),(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+)([^\d.,].{0,12})?"
)
_POINT_DECIMAL = re.compile(
    r"[+-]?((0|[1-9]\d*)?\.(\d{1,2}|\d{4,})|0?\.\d+|\d{1,3}(,\d{3})+\.\d+)([^\d.,].{0,12})?"
)


def read_delimited(text: bytes, options: ReadOptions, path: Path) -> RawTable:
    """Read a text table in UTF-8 whose first line holds the names of the columns.

    Raises
    ------
    InputError
        If there are no names, two are the same, or rows have another number of fields than the header.
    """
    notices: list[str] = []
    text, declared = _declared_separator(text)
    head = text[:_HEAD].decode("utf-8", errors="ignore")
    if len(text) > _HEAD:  # end at a line's end
        head = head[: max(head.rfind("\n"), head.rfind("\r")) + 1] or text.decode("utf-8")
    separator = options.separator_character or declared or _find_separator(head)
    if separator != ",":
        notices.append(f"{path.name} has {_NAMES.get(separator, repr(separator))} between its columns.")
    records, header_length = _sample(head, separator, path)
    header, sample = records[0], records[1:]
    body = pa.py_buffer(text).slice(header_length)
    width = len(header)
    closing = bool(sample) and all(len(row) == width + 1 and not row[-1].strip() for row in sample)
    quoted = b'"' in text
    table = _read(body, separator, width + closing, quoted, path)
    if closing:
        ends = table.column(width)
        if any(value.strip() for value in ends.unique().to_pylist()):
            raise InputError(
                f"{path} names {width} columns, but its rows have {width + 1} fields, and the last is not always "
                "empty: add the missing name to its first line."
            )
        table = table.select(range(width))
        notices.append(
            f"Each row of {path.name} ends in a separator that its first line does not have; it was ignored."
        )
    names, unnamed = checked_names(header, str(path))
    _check_header(header, path)
    decimal = options.decimal or _find_decimal(sample, separator)
    if decimal == ",":
        notices.append(f"Numbers in {path.name} have a decimal comma.")
    notices += _line_breaks(table, names) if quoted else []
    return RawTable(dict(zip(names, table.columns, strict=True)), notices, decimal, unnamed)


def _declared_separator(text: bytes) -> tuple[bytes, str | None]:
    """Take off a first line such as ``sep=;``, as Excel writes it."""
    match = re.match(rb'"?sep=(.)"?(\r\n|\r|\n)', text, re.IGNORECASE)
    return (text[match.end() :], match[1].decode()) if match else (text, None)


def _records(head: str, separator: str) -> tuple[list[list[str]], int]:
    """Read the first records, and the length of the first one (with blank lines before it) in bytes."""
    lines: list[str] = []

    def remembered() -> Iterator[str]:
        for line in io.StringIO(head, newline=""):
            lines.append(line)
            yield line

    records: list[list[str]] = []
    length = 0
    for record in csv.reader(remembered(), delimiter=separator):
        if not record or (len(record) == 1 and not record[0].strip()):
            continue
        records.append(record)
        if len(records) == 1:
            length = len("".join(lines).encode())
        if len(records) > _SAMPLE:
            break
    return records, length


def _sample(head: str, separator: str, path: Path) -> tuple[list[list[str]], int]:
    """Read the header and some rows."""
    try:
        records, length = _records(head, separator)
    except csv.Error as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not records:
        raise InputError(f"{path} cannot be read: it has no line with the names of its columns.")
    return records, length


def _find_separator(head: str) -> str:
    """Choose the separator that gives the rows the same number of fields as the header, and most of them.

    If none does, the one that gives most rows the header's number of fields, of at least two.
    """
    scores: dict[str, tuple[float, int]] = {}
    for separator in SEPARATORS:
        try:
            records, _ = _records(head, separator)
        except csv.Error:
            continue
        if not records or len(records[0]) < 2:
            continue
        width = len(records[0])
        fits = [len(row) == width or (len(row) == width + 1 and not row[-1]) for row in records[1:]]
        scores[separator] = (sum(fits) / len(fits) if fits else 1.0, width)
    return max(scores, key=lambda separator: scores[separator], default=",")


def _find_decimal(rows: list[list[str]], separator: str) -> str:
    """Choose the decimal mark that most numbers plainly have; a comma and three digits may be thousands."""
    cells = [cell.strip() for row in rows for cell in row]
    commas = sum(_COMMA_DECIMAL.fullmatch(cell) is not None for cell in cells)
    points = sum(_POINT_DECIMAL.fullmatch(cell) is not None for cell in cells)
    return "," if commas > points else "."


def _read(body: pa.Buffer, separator: str, width: int, quoted: bool, path: Path) -> pa.Table:
    """Read all rows as texts, or raise InputError if some have another number of fields than `width`."""
    wrong: list[arrow_csv.InvalidRow] = []
    lengths: Counter[int] = Counter()

    def note(row: arrow_csv.InvalidRow) -> str:
        lengths[row.actual_columns] += 1
        if len(wrong) < 3:
            wrong.append(row)
        return "skip"

    names = [str(i) for i in range(width)]
    if not body.size:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    table = arrow_csv.read_csv(
        pa.BufferReader(body),
        read_options=arrow_csv.ReadOptions(column_names=names, use_threads=not quoted),
        parse_options=arrow_csv.ParseOptions(
            delimiter=separator, newlines_in_values=quoted, invalid_row_handler=note
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    if lengths:
        text = " ".join(wrong[0].text.split())
        example = text if len(text) <= 60 else text[:57] + "…"
        count = sum(lengths.values())
        rows = "1 row has" if count == 1 else f"{count} rows have"
        raise InputError(
            f"{path} names {width} columns, but {rows} {' or '.join(map(str, sorted(lengths)))} fields, such as "
            f"{example!r}: mend them, put texts that hold the separator in quotes, or name another --separator."
        )
    return table


def _check_header(header: list[str], path: Path) -> None:
    """Raise InputError if the first line holds numbers as data do, and not as names of columns do.

    Whole numbers that rise from one column to the next may be names (``0, 1, 2, …`` or years).
    """
    numbers = [name.strip() for name in header if _NUMBER.fullmatch(name.strip())]
    whole = [int(name) for name in numbers if name.isdigit()]
    rising = len(whole) == len(numbers) and all(a < b for a, b in pairwise(whole))
    if numbers and not rising:
        raise InputError(
            f"The first line of {path} holds the numbers {', '.join(numbers[:3])}, so it seems to be a row: add a "
            "line with the names of the columns above it."
        )


def _line_breaks(table: pa.Table, names: list[str]) -> list[str]:
    """Tell of line breaks inside cells, which a quotation mark that is not closed would make."""
    for name, column in zip(names, table.columns, strict=True):
        broken = pc.match_substring_regex(column, r"[\r\n]")
        count = pc.sum(broken).as_py() or 0
        if count:
            row = pc.index(broken, True).as_py()
            return [
                f"Column {name!r} has line breaks inside {counted(count, 'cell')}, the first in row {row} "
                "(counted from 0): if they are not meant, look there for a quotation mark that is not closed."
            ]
    return []
