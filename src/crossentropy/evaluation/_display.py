"""Scores as text, HTML and JSON."""

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["html_table", "number", "text_table", "to_json", "with_interval"]


def number(x: float | None) -> str:
    """Write a score; a dash for one that cannot be computed."""
    return "–" if x is None else f"{x:.6g}"


def with_interval(x: float | None, interval: tuple[float, float] | None, percent: str) -> str:
    """Write a score with its interval, whose confidence is `percent`, as "95 %"."""
    if interval is None:
        return number(x)
    return f"{number(x)}  ({percent}: {number(interval[0])} to {number(interval[1])})"


def text_table(lines: Sequence[tuple[str, str]]) -> str:
    """Write names and values below each other."""
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def html_table(lines: Sequence[tuple[str, str]]) -> str:
    """Write names and values as a table of HTML."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in lines
    )
    return f"<table>{cells}</table>"


def to_json(tree: Any, *, indent: int | None) -> str:
    """Write JSON; infinite numbers are the texts "Infinity" and "-Infinity", NaN is null."""
    return json.dumps(_for_json(tree), indent=indent, ensure_ascii=False, allow_nan=False)


def _for_json(x: Any) -> Any:
    if isinstance(x, dict):
        return {str(key): _for_json(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [_for_json(value) for value in x]
    if isinstance(x, float) and not math.isfinite(x):
        return None if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return x
