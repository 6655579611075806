"""Templates of pages, filled."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from crossentropy._report.sentences import number, percent, short
from crossentropy._report.style import COLORS, DARK

__all__ = ["render"]


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the page of a template; what is not marked as safe is escaped in HTML."""
    return _templates().get_template(template).render(context)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("crossentropy._report"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"colors": COLORS, "dark": DARK}
    environment.filters |= {
        "number": number,
        "percent": percent,
        "short": short,
        "cell": lambda name: short(name).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;"),
    }
    return environment
