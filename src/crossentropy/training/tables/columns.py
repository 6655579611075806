"""Find what a column holds, from all of its values: numbers, dates, categories, or nothing to learn from."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crossentropy.training.tables.date_texts import DateTexts, read_dates
from crossentropy.training.tables.number_texts import NumberTexts, read_numbers

#: texts that mean a missing value everywhere (those of pandas), and those that do among numbers or dates
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A")
) | frozenset(("NA", "NULL", "NaN", "None", "n/a", "nan", "null", "NaT"))
PLACEHOLDERS = frozenset(
    (
        "?",
        "-",
        "--",
        "---",
        "—",
        "–",
        ".",
        "..",
        "...",
        "*",
        "n.a.",
        "na",
        "none",
        "unknown",
        "Unknown",
        "missing",
    )
) | frozenset(("Missing", "(null)", "not available", "\\N", "#REF!", "#DIV/0!", "#VALUE!", "#NUM!", "#NAME?"))
#: a column is numbers if this share of its filled cells are; the others are then missing
MOST = 0.9
#: with so few different numbers, texts beside them are categories, such as ``3+``
FEW = 20


@dataclass(frozen=True)
class Column:
    """The values of a column and what they are.

    Attributes
    ----------
    kind : str
        ``"number"``, ``"category"``, ``"date"``, or ``"none"`` with a `reason`.
    values : pandas.Series
        float64 (NaN where missing), categories (texts), or datetime64[us]; empty if the kind is none.
    distinct, missing : int
    remarks : tuple of str
        What a reader of the column should know.
    form : dict
        How its texts were read: ``decimal`` and ``unit`` of numbers, ``format`` of dates.
    """

    kind: str
    values: pd.Series = field(default_factory=lambda: pd.Series(dtype=np.float64))
    distinct: int = 0
    missing: int = 0
    remarks: tuple[str, ...] = ()
    form: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    def of_rows(self, rows: np.ndarray) -> "Column":
        """Return the column of some rows, with their counts."""
        values = self.values.iloc[rows].reset_index(drop=True)
        return replace(self, values=values, distinct=values.nunique(), missing=int(values.isna().sum()))


@dataclass(frozen=True)
class Texts:
    """A column of texts without blanks around them, each text once.

    Attributes
    ----------
    distinct : pyarrow.Array
    codes : numpy.ndarray of int64
        For each row the index of its text, −1 where missing.
    counts : numpy.ndarray
        Rows of each text.
    """

    distinct: pa.Array
    codes: np.ndarray
    counts: np.ndarray

    def places(self, texts: frozenset[str]) -> np.ndarray:
        """Whether each distinct text is one of `texts`."""
        return pc.is_in(self.distinct, pa.array(sorted(texts))).to_numpy(zero_copy_only=False)

    def spread(self, values: np.ndarray, missing: object) -> np.ndarray:
        """Give each row the value of its text."""
        return np.append(values, np.array([missing], dtype=values.dtype))[self.codes]

    @property
    def filled(self) -> int:
        """Number of rows that are not missing."""
        return int(self.counts.sum())


def describe_column(values: pa.ChunkedArray, decimal: str = ".", *, as_text: bool = False) -> Column:
    """Find the kind of a column and convert it.

    Texts are read by the same rules whether they are from a text file or from Parquet.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
    decimal : str
        The decimal mark to try first.
    as_text : bool
        Whether to read categories even if they are numbers or dates.
    """
    kind = values.type
    if pa.types.is_null(kind):
        return Column("none", reason="it holds no value", missing=len(values))
    if pa.types.is_dictionary(kind):
        return _categories(encode_texts(values))
    if is_text(kind):
        texts = encode_texts(values)
        return _categories(texts) if as_text else _of_texts(texts, decimal)
    if values.null_count == len(values):
        return Column("none", reason="it holds no value", missing=len(values))
    if pa.types.is_boolean(kind) or (as_text and not pa.types.is_nested(kind)):
        return _categories(encode_texts(values))
    numbers = to_numbers(values)
    if numbers is not None:
        column = _number_column(numbers)
        exact = pa.types.is_integer(kind)  # float64 does not tell all whole numbers apart
        return replace(column, distinct=pc.count_distinct(values).as_py()) if exact else column
    dates = to_dates(values)
    if dates is not None:
        return _date_column(dates)
    return Column("none", reason=f"it holds values of type {kind}, neither numbers, dates nor texts")


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view")


def encode_texts(values: pa.ChunkedArray) -> Texts:
    """Write a column as texts, whole numbers without decimals, and find the distinct ones."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, "True", "False")
    if pa.types.is_floating(values.type):
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
        texts = pc.if_else(
            whole, pc.if_else(whole, values, 0).cast(pa.int64()).cast(pa.string()), values.cast(pa.string())
        )
        values = texts
    if pa.types.is_timestamp(values.type) and values.type.tz is None:
        values = values.cast(pa.timestamp("s"), safe=False)
    if not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    encoded = pc.dictionary_encode(pc.utf8_trim_whitespace(values)).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = (
            encoded.unify_dictionaries().chunk(0)
            if encoded.num_chunks
            else pa.array([], pa.string()).dictionary_encode()
        )
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    distinct = encoded.dictionary
    missing = np.append(pc.is_in(distinct, pa.array(sorted(MISSING))).to_numpy(zero_copy_only=False), True)
    number = np.append(np.cumsum(~missing[:-1]) - 1, -1)
    codes = np.where(missing[codes], -1, number[codes])
    distinct = distinct.filter(pa.array(~missing[:-1]))
    return Texts(distinct, codes, np.bincount(codes[codes >= 0], minlength=len(distinct)))


def to_numbers(values: pa.ChunkedArray) -> np.ndarray | None:
    """Convert values of a numeric type to float64, durations and times of day to seconds; None for other types."""
    kind = values.type
    if pa.types.is_duration(kind):
        values = pc.multiply(
            values.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False), 1e-6
        )
    elif pa.types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit]
        ticks = values.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
        values = pc.multiply(ticks.cast(pa.float64(), safe=False), unit)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def to_dates(values: pa.ChunkedArray) -> np.ndarray | None:
    """Convert values of a date type to datetime64[us] in UTC; None for other types."""
    if not (pa.types.is_date(values.type) or pa.types.is_timestamp(values.type)):
        return None
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    return (
        values.cast(pa.timestamp("us", zone), safe=False)
        .to_numpy(zero_copy_only=False)
        .astype("datetime64[us]")
    )


def _of_texts(texts: Texts, decimal: str) -> Column:
    """Read texts as numbers, dates or categories."""
    placeholders = texts.places(PLACEHOLDERS)
    filled = int(texts.counts[~placeholders].sum())
    if not filled:
        return _categories(texts)
    if pc.any(pc.match_substring_regex(texts.distinct, r"^[+-]?0\d+$")).as_py():
        return _categories(texts, "numbers with leading zeros are codes")
    sample = texts.distinct.take(pa.array(np.flatnonzero(~placeholders)[:1000])).to_pylist()
    if read_dates(sample) is not None:
        dates = read_dates(texts.distinct.filter(pa.array(~placeholders)).to_pylist())
        if dates is not None and texts.counts[~placeholders][dates.found].sum() / filled >= MOST:
            return _dates_in_texts(texts, dates, placeholders)
    for mark in (decimal, "," if decimal == "." else "."):
        numbers = read_numbers(texts.distinct, mark)
        if texts.counts[numbers.found].sum() / filled >= MOST:
            return _numbers_in_texts(texts, numbers, placeholders, mark, decimal)
    return _categories(texts)


def _numbers_in_texts(
    texts: Texts, numbers: NumberTexts, placeholders: np.ndarray, mark: str, decimal: str
) -> Column:
    """Make a column of numbers of the unit that most have, other cells missing.

    If there are few different numbers and other texts beside them, all are categories.
    """
    values = numbers.values.copy()
    units, place = np.unique(numbers.units[numbers.found].astype(str), return_inverse=True)
    rows = np.bincount(place, texts.counts[numbers.found], minlength=len(units))
    unit = str(units[rows.argmax()])
    few = len(np.unique(values[numbers.found])) <= FEW
    if rows.max() < MOST * rows.sum():
        if few:
            return _categories(texts)
        listed = " and ".join(repr(str(u)) if u else "none" for u in units[:4])
        return Column(
            "none", reason=f"its numbers have different units, {listed}", distinct=len(texts.distinct)
        )
    values[numbers.found & (numbers.units != unit)] = np.nan
    lost = np.isnan(values)
    if few and (lost & ~placeholders).any():
        return _categories(texts)
    remarks = [f"numbers with {unit!r}, which was taken off"] if unit else []
    if numbers.thousands:
        remarks.append(f"thousands marked, as in {numbers.thousands!r}")
    if mark != decimal:
        remarks.append(f"decimal mark {mark!r}")
    if lost.any():
        count = int(texts.counts[lost].sum())
        written = [repr(text) for text in texts.distinct.filter(pa.array(lost)).to_pylist()]
        more = f" and {len(written) - 3} more" if len(written) > 3 else ""
        cells = "1 cell is no number" if count == 1 else f"{count} cells are no numbers"
        remarks.append(f"{cells}, so missing: {', '.join(written[:3])}{more}")
    column = _number_column(texts.spread(values, np.nan))
    if np.abs(values[~lost]).max() > 2.0**53:  # where float64 does not tell whole numbers apart
        column = replace(column, distinct=int((~lost).sum()))
    return replace(column, remarks=tuple(remarks), form={"decimal": mark, "unit": unit})


def _dates_in_texts(texts: Texts, dates: DateTexts, placeholders: np.ndarray) -> Column:
    """Make a column of dates, other cells missing."""
    values = np.full(len(texts.distinct), np.datetime64("NaT", "us"))
    values[~placeholders] = dates.values
    lost = np.isnat(values)
    remarks = [] if dates.format == "ISO 8601" else [f"dates read as {dates.format}"]
    if dates.ambiguous:
        remarks.append("days and months could be exchanged")
    if lost.any():
        remarks.append(f"{int(texts.counts[lost].sum())} cells are no dates and count as missing")
    column = _date_column(texts.spread(values, np.datetime64("NaT")))
    return replace(column, remarks=tuple(remarks), form={"format": dates.format})


def _number_column(values: np.ndarray) -> Column:
    """Make a column of numbers."""
    return Column("number", pd.Series(values), int(pd.Series(values).nunique()), int(np.isnan(values).sum()))


def _date_column(values: np.ndarray) -> Column:
    """Make a column of dates."""
    return Column("date", pd.Series(values), int(pd.Series(values).nunique()), int(np.isnat(values).sum()))


def _categories(texts: Texts, remark: str = "") -> Column:
    """Make a column of categories."""
    if not len(texts.distinct):
        return Column("none", reason="it holds no value", missing=len(texts.codes))
    values = to_categories(texts)
    names = values.cat.categories
    remarks = [remark] if remark else []
    if len(names) <= 1000 and len({name.casefold() for name in names}) < len(names):
        remarks.append("some categories differ only in capital letters")
    return Column("category", values, len(names), int((texts.codes < 0).sum()), tuple(remarks))


def to_categories(texts: Texts) -> pd.Series:
    """Make texts categories, sorted; true and false, which programs write differently, are ``True`` and ``False``."""
    order = pc.sort_indices(texts.distinct)
    names = texts.distinct.take(order).to_pylist()
    number = np.empty(len(names) + 1, dtype=np.int64)
    number[order.to_numpy()], number[-1] = np.arange(len(names)), -1
    if {name.lower() for name in names[:9]} <= {"true", "false"}:
        spelled = [name.capitalize() for name in names]
        names = sorted(set(spelled))
        number[:-1] = np.array([names.index(name) for name in spelled])[number[:-1]]
    codes = number[texts.codes]
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object)))
