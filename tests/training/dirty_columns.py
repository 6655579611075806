"""Kinds of dirt in a column: ids, leaks, missing cells, units, dates, codes, extreme numbers."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from training.drawn_tables import ROWS, Cells, Dirt, Drawn, add, number_cells, registering

DIRTS: list[Dirt] = []
dirt = registering(DIRTS)


def naming(values, remark: str) -> Cells:
    """Cells that name the rows."""
    return Cells([str(value) for value in values], "id", None, remark)


def first_number(drawn: Drawn) -> str:
    return next(name for name, cells in drawn.columns.items() if cells.is_number and cells.truth is not None)


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
    add(drawn, "risk", number_cells(values))
    drawn.said.append("Column 'risk' alone tells")
    drawn.same_score = False
