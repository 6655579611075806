"""Read numbers as people write them: thousands marks, decimal commas, units, percent, currencies."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
_CURRENCY = r"(?:US\$|[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CAD|AUD)"
_UNIT = r"[^\d\s.,+()'’-][^,;]{0,11}"
_SAMPLE = 500
_MANY = 30


def _pattern(thousands: str, decimal: str) -> re.Pattern[str]:
    """Build the pattern of a number with the given marks, a sign, parentheses for minus, a currency or a unit."""
    digits = rf"[1-9]\d{{0,2}}(?P<mark>[{thousands} '’\u00a0\u202f])\d{{3}}(?:(?P=mark)\d{{3}})*"
    number = rf"(?P<number>(?:{digits}|\d+)(?:{decimal}\d*)?|{decimal}\d+)(?P<exponent>[eE][+-]?\d+)?"
    return re.compile(
        rf"(?P<open>\()?(?P<sign>[+-])?\s?(?P<before>{_CURRENCY})?\s?(?P<inner>[+-])?{number}"
        rf"\s?(?P<after>{_UNIT})?(?P<close>\))?"
    )


_PATTERNS = {".": _pattern(",", r"\."), ",": _pattern(r"\.", ",")}


@dataclass(frozen=True)
class NumberTexts:
    """What was read in distinct texts.

    Attributes
    ----------
    values : numpy.ndarray of float64
        NaN where a text is no number.
    units : numpy.ndarray of object
        The unit of each text, ``""`` for none.
    thousands : str
        A number with a mark between its thousands, if there are any.
    """

    values: np.ndarray
    units: np.ndarray
    thousands: str = ""

    @property
    def found(self) -> np.ndarray:
        """Whether each text is a number."""
        return ~np.isnan(self.values)


def read_numbers(texts: pa.Array, decimal: str) -> NumberTexts:
    """Read distinct texts, without blanks around them, as numbers with the decimal mark ``"."`` or ``","``.

    Examples
    --------
    >>> read_numbers(pa.array(["1,234.5 kg", "−2 kg", "kg"]), ".").values
    array([1234.5,   -2. ,    nan])
    """
    values = np.full(len(texts), np.nan)
    units = np.full(len(texts), "", dtype=object)
    texts = pc.replace_substring(texts, "\u2212", "-")
    plain = pc.match_substring_regex(texts, _PLAIN).to_numpy(zero_copy_only=False)
    if decimal == ",":  # 1.234 is more than a thousand here
        plain &= ~pc.match_substring(texts, ".").to_numpy(zero_copy_only=False)
    values[plain] = texts.filter(pa.array(plain)).cast(pa.float64()).to_numpy(zero_copy_only=False)
    others = np.flatnonzero(~plain)
    thousands = ""
    if _are_numbers(
        texts.take(pa.array(others[:: max(1, len(others) // _SAMPLE)])), decimal, len(others), len(texts)
    ):
        for place, text in zip(others, texts.take(pa.array(others)).to_pylist(), strict=True):
            match = _matched(text, decimal)
            if match is not None:
                values[place] = _value(match, decimal)
                units[place] = (match["before"] or match["after"] or "").strip()
                thousands = thousands or (match["number"] if match["mark"] else "")
    return NumberTexts(values, units, thousands)


def mark_thousands(texts: pa.Array, mark: str) -> bool:
    """Whether what seems to be a decimal mark stands between thousands, as in ``1.234`` beside ``987``.

    It does if it is in many texts, though not in all, and always before three digits: of numbers with three decimals,
    every tenth would be written with fewer, or all would have the mark.
    """
    marked = pc.sum(pc.match_substring(texts, mark)).as_py() or 0
    grouped = pc.match_substring_regex(texts, rf"^[+-]?[1-9]\d{{0,2}}({re.escape(mark)}\d{{3}})+$")
    return _MANY <= marked < len(texts) and pc.sum(grouped).as_py() == marked


def _are_numbers(sample: pa.Array, decimal: str, others: int, texts: int) -> bool:
    """Whether a column is worth reading text by text: it has few texts that are not plain numbers, or most match."""
    if others < 0.1 * texts:
        return True
    return sum(_matched(text, decimal) is not None for text in sample.to_pylist()) > len(sample) / 2


def _matched(text: str, decimal: str) -> re.Match[str] | None:
    """Match a number of which both parentheses are there or none, with one sign and one unit at most."""
    match = _PATTERNS[decimal].fullmatch(text)
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    return None if (match["sign"] and match["inner"]) or (match["before"] and match["after"]) else match


def _value(match: re.Match[str], decimal: str) -> float:
    """The number of a match."""
    digits = match["number"].replace(match["mark"], "") if match["mark"] else match["number"]
    number = float(digits.replace(decimal, ".") + (match["exponent"] or ""))
    negative = "-" in (match["sign"] or "", match["inner"] or "") or match["open"]
    return -number if negative else number
