"""The report of an evaluation: one page in one file, which asks for nothing and runs nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from crossentropy._report import sentences
from crossentropy._report.figures import draw_class_reliability, draw_decomposition, draw_reliability
from crossentropy._report.interval_marks import scale_of
from crossentropy._report.limits import Limit
from crossentropy._report.provenance import Provenance
from crossentropy._report.sentences import short
from crossentropy._report.style import to_svg
from crossentropy._report.templating import render

__all__ = ["evaluation_html", "evaluation_markdown"]

#: Groups of a table, and worst rows, that are shown.
GROUPS, ROWS = 40, 20


def evaluation_html(result: Mapping[str, Any], provenance: Provenance, limits: Sequence[Limit] = ()) -> str:
    """Return the report of an evaluation, given as a mapping, as HTML.

    The same evaluation has the same report, byte by byte.
    """
    figures = {
        "reliability": _reliability(result),
        "classes": _class_reliability(result),
        "decomposition": _decomposition(result),
    }
    context = _context(result, provenance, limits) | {
        "figures": figures,
        "title": "Evaluation of predictions",
    }
    return render("evaluation.html.j2", context)


def evaluation_markdown(
    result: Mapping[str, Any], provenance: Provenance, limits: Sequence[Limit] = ()
) -> str:
    """Return the report as Markdown, without pictures."""
    return render("evaluation.md.j2", _context(result, provenance, limits))


def _context(result: Mapping[str, Any], provenance: Provenance, limits: Sequence[Limit]) -> dict[str, Any]:
    return {
        "result": result,
        "provenance": provenance,
        "limits": limits,
        "verdict": sentences.verdict(result),
        "calibration": sentences.calibration(result),
        "advice": sentences.advice(result),
        "classes": _groups(result, result["classes"], [("class", "label")]),
        "slices": _groups(
            result,
            sorted(result["slices"], key=lambda s: -(s["share_of_loss"] or 0.0)),
            [("column", "column"), ("value", "slice")],
        ),
        "worst_rows": result["worst_rows"][:ROWS],
    }


def _reliability(result: Mapping[str, Any]) -> Markup:
    description = sentences.describe_reliability(result)
    figure = draw_reliability(result)
    return Markup(to_svg(figure, "reliability", "Reliability diagram", description))


def _class_reliability(result: Mapping[str, Any]) -> Markup | None:
    """Return the picture of the curves of classes, or None if they have none of their own."""
    if "calibration_curve" not in result["classes"][-1]:
        return None
    description = sentences.describe_classes(result)
    figure = draw_class_reliability(result["classes"])
    return Markup(to_svg(figure, "classwise", "Reliability of each class", description))


def _decomposition(result: Mapping[str, Any]) -> Markup | None:
    """Return the picture of the parts of the loss, or None if it has none that are finite."""
    if result["n_infinite"] or result["miscalibration"] is None:
        return None
    description = sentences.describe_decomposition(result)
    return Markup(to_svg(draw_decomposition(result), "decomposition", "Parts of the log loss", description))


def _groups(
    result: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], names: Sequence[tuple[str, str]]
) -> dict[str, Any] | None:
    """Return a table of groups, each with the picture of its interval; None without losses of groups."""
    if not groups or "log_loss" not in groups[0]:
        return None
    shown = groups[:GROUPS]
    losses = [g["log_loss"] for g in shown]
    scale = scale_of(losses, [g["interval"] for g in shown], min(result["log_loss"], max(losses)))
    limit = 1 - result["confidence"]
    rows = []
    for g in shown:
        notable = g.get("adjusted_p_value") is not None and g["adjusted_p_value"] < limit
        mark = Markup(scale.mark(g["log_loss"], g["interval"], notable=notable))
        rows.append(
            {"names": [short(g[key]) for _, key in names], "notable": notable, "mark": mark} | dict(g)
        )
    return {"heads": [head for head, _ in names], "rows": rows, "total": len(groups)}
