"""The style of all pictures: colors, sizes, and how a figure becomes part of a page.

Pictures are drawn in the colors of a light page. In the SVG each color is a CSS variable with that color as its
fallback, so that a page may give other values in the dark. The colors are told apart by color-blind readers and in
print (after Okabe & Ito 2008, https://jfly.uni-koeln.de/color/).
"""

import re
import warnings
from contextlib import AbstractContextManager
from html import escape
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "COLORS",
    "DARK",
    "GRID",
    "INK",
    "ORANGE",
    "PALE",
    "QUIET",
    "new_figure",
    "style",
    "to_svg",
]

INK, QUIET, GRID, PALE = "#1f2328", "#57606a", "#d0d7de", "#cfe3f2"
BLUE, ORANGE = "#0072b2", "#b84c00"
#: The variables of a page, and their values by day and by night.
COLORS = {"ink": INK, "quiet": QUIET, "grid": GRID, "pale": PALE, "blue": BLUE, "orange": ORANGE}
DARK = {
    "ink": "#e6edf3",
    "quiet": "#9da7b3",
    "grid": "#3d444d",
    "pale": "#16364d",
    "blue": "#58b0e8",
    "orange": "#f0954a",
}
#: Inches. Narrow enough for the text to be read on a telephone.
WIDTH = 4.4

SETTINGS: Any = {
    "axes.edgecolor": QUIET,
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names are names
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


def style() -> AbstractContextManager[None]:
    """Return matplotlib's settings of the style, as a context."""
    return matplotlib.rc_context(SETTINGS)


def new_figure(height: float) -> Figure:
    """Return an empty figure of the usual width, and of a height in inches; it belongs to no window."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """Return a figure as an SVG element for a page.

    The same figure has the same bytes. `name` keeps identifiers apart from those of the page's other figures; `title`
    and `description` say to those who do not see it what it shows.
    """
    out = StringIO()
    with matplotlib.rc_context(SETTINGS | {"svg.hashsalt": name}), warnings.catch_warnings():
        # Text stays text, and letters that Matplotlib has no font for are drawn by whoever shows the page.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", metadata=nothing)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    for variable, color in COLORS.items():
        svg = svg.replace(color, f"var(--{variable}, {color})")
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-description"'
        f'><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-description">{escape(description)}</desc>'
    )
    opening, rest = svg.split(">", 1)
    return head.replace("<svg", opening, 1) + rest
