"""Kinds of dirt in the rows, the header or the bytes of a file; most of these files are refused."""

import numpy as np

from training.drawn_tables import ROWS, Cells, Dirt, Drawn, add, registering

DIRTS: list[Dirt] = []
dirt = registering(DIRTS)


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
