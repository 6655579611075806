"""The report of a comparison of models: one page in one file, which asks for nothing and runs nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from crossentropy._report.comparison_figures import draw_differences, draw_murphy, draw_parts
from crossentropy._report.interval_marks import scale_of
from crossentropy._report.limits import Limit
from crossentropy._report.provenance import Provenance
from crossentropy._report.sentences import number, short
from crossentropy._report.style import to_svg
from crossentropy._report.templating import render

__all__ = ["comparison_html", "comparison_markdown"]

#: Models in pictures, models that have a section, slices in all of these together, and rows that make a difference.
MODELS, SECTIONS, SLICES, ROWS = 12, 6, 60, 10

Result = Mapping[str, Any]


def comparison_html(result: Result, provenance: Provenance, limits: Sequence[Limit] = ()) -> str:
    """Return the report of a comparison, given as a mapping with the sentence of each difference, as HTML.

    The same comparison has the same report, byte by byte.
    """
    figures = {"differences": _differences(result), "parts": _parts(result)}
    curves = [_murphy(d, i) for i, d in enumerate(result["differences"][:SECTIONS])]
    context = _context(result, provenance, limits) | {"figures": figures, "curves": curves}
    return render("comparison.html.j2", context | {"title": "Comparison of models"})


def comparison_markdown(result: Result, provenance: Provenance, limits: Sequence[Limit] = ()) -> str:
    """Return the report as Markdown, without pictures."""
    return render("comparison.md.j2", _context(result, provenance, limits))


def _context(result: Result, provenance: Provenance, limits: Sequence[Limit]) -> dict[str, Any]:
    sections = result["differences"][:SECTIONS]
    return {
        "result": result,
        "provenance": provenance,
        "limits": limits,
        "confidence": f"{100 * result['differences'][0]['confidence']:g} %" if result["differences"] else "",
        "models": [{"name": name} | dict(e) for name, e in result["evaluations"].items()],
        "sections": [_with_marks(d, SLICES // len(sections)) for d in sections],
    }


def _with_marks(difference: Result, slices_shown: int) -> dict[str, Any]:
    """Return a difference with the picture of the interval of each slice, and the rows that are shown."""
    shown = difference["slices"][:slices_shown]
    known = [s["difference"] for s in shown if s["difference"] is not None]
    scale = scale_of(known, [s["interval"] for s in shown], 0.0)
    limit = 1 - difference["confidence"]
    slices = []
    for s in shown:
        notable = s["adjusted_p_value"] is not None and s["adjusted_p_value"] < limit
        mark = Markup(scale.mark(s["difference"], s["interval"], notable=notable))
        slices.append(dict(s) | {"mark": mark, "notable": notable})
    return dict(difference) | {
        "slices": slices,
        "total_slices": len(difference["slices"]),
        "rows": difference["rows"][:ROWS],
    }


def _differences(result: Result) -> Markup | None:
    """Return the picture of the differences that have intervals; None if there is none."""
    shown = [d for d in result["differences"] if d["interval"] is not None][:MODELS]
    if not shown:
        return None
    words = "; ".join(
        f"{short(d['model'])} {number(d['difference'])} ({number(d['interval'][0])} to {number(d['interval'][1])})"
        for d in shown
    )
    description = f"Log loss less that of {short(result['reference'])}, with intervals, in nats: {words}."
    return Markup(to_svg(draw_differences(shown), "differences", "Differences of the log loss", description))


def _parts(result: Result) -> Markup | None:
    """Return the picture of what the losses are made of; None if no model has finite parts."""
    names = ("miscalibration", "discrimination")
    shown = {
        model: e
        for model, e in list(result["evaluations"].items())[:MODELS]
        if all(e[name] is not None and math.isfinite(e[name]) for name in names)
    }
    if not shown:
        return None
    words = "; ".join(
        f"{short(model)} {number(e['miscalibration'])} and {number(e['discrimination'])}"
        for model, e in shown.items()
    )
    description = f"Miscalibration and discrimination of each model, in nats: {words}."
    return Markup(to_svg(draw_parts(shown), "parts", "Miscalibration and discrimination", description))


def _murphy(difference: Result, i: int) -> Markup | None:
    """Return the Murphy diagram of a difference; None if there are more than two classes."""
    curve: Sequence[Mapping[str, float]] | None = difference["murphy"]
    if curve is None:
        return None
    better = sum(point["difference"] < 0 for point in curve)
    worse = sum(point["difference"] > 0 for point in curve)
    description = (
        f"Of {len(curve)} thresholds {short(difference['model'])} has the lower mean elementary score at {better} and "
        f"the higher one at {worse}."
    )
    title = f"Murphy diagram of {short(difference['model'])}"
    return Markup(to_svg(draw_murphy(difference), f"murphy{i}", title, description))
