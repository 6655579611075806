"""Read dates as people write them."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

_TIME = r"([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|UTC|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"\d{{4}}-\d{{2}}(-\d{{2}}{_TIME})?")
_SHAPE = re.compile(
    rf"(\d{{1,4}}[-/. ]([A-Za-z]{{3,9}}|\d{{1,2}})[-/. ],?\s?\d{{1,4}}|[A-Za-z]{{3,9}} \d{{1,2}},? \d{{4}}){_TIME}"
)
#: the order of a date's parts, by what separates them; where days and months cannot be told apart, the first one counts
_DAYS = {
    "/": ("%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y"),
    ".": ("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d"),
    "-": ("%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y"),
    " ": ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
}
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_SAMPLE = 200
ISO = "ISO 8601"


@dataclass(frozen=True)
class DateTexts:
    """What was read in distinct texts.

    Attributes
    ----------
    values : numpy.ndarray of datetime64[us]
        In UTC if they name a time zone; NaT where a text is no date.
    format : str
        `ISO`, or that of `strptime`.
    ambiguous : bool
        Whether days and months could be exchanged in all of them.
    """

    values: np.ndarray
    format: str
    ambiguous: bool = False

    @property
    def found(self) -> np.ndarray:
        """Whether each text is a date."""
        return ~np.isnat(self.values)


def read_dates(texts: list[str]) -> DateTexts | None:
    """Read distinct texts as dates in one format, the one that most of them have; None if they are not like dates.

    Examples
    --------
    >>> read_dates(["31.12.2024", "1.2.2025"]).values.astype("datetime64[D]")
    array(['2024-12-31', '2025-02-01'], dtype='datetime64[D]')
    """
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    if sum(_ISO.fullmatch(text) is not None for text in sample) > len(sample) / 2:
        return DateTexts(parse_dates(texts, ISO), ISO)
    alike = [text for text in sample if _SHAPE.fullmatch(text)]
    if len(alike) <= len(sample) / 2:
        return None
    separator = next(character for character in "/.- " if character in alike[0])
    clock = _CLOCKS[min(alike[0].count(":") + (".%f" in alike[0]), 2)] if ":" in alike[0] else ""
    candidates = [day + clock for day in _DAYS[separator]]
    counts = {name: int((~np.isnat(parse_dates(sample, name))).sum()) for name in candidates}
    full = [name for name in candidates if counts[name] == max(counts.values())]
    parsed = {name: parse_dates(texts, name) for name in full}
    best = max(full, key=lambda name: int((~np.isnat(parsed[name])).sum()))
    n = int((~np.isnat(parsed[best])).sum())
    exchanged = [name for name in full if name != best and int((~np.isnat(parsed[name])).sum()) == n]
    different = any(not np.array_equal(parsed[name], parsed[best], equal_nan=True) for name in exchanged)
    return DateTexts(parsed[best], best, different) if n else None


def parse_dates(texts: list[str], format: str) -> np.ndarray:
    """Read texts in one format, NaT where they are not in it."""
    series = pd.Series(texts, dtype=object)
    name = "ISO8601" if format == ISO else format
    parsed = pd.to_datetime(series, format=name, errors="coerce", utc=True)
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
