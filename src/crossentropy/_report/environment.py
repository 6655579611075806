"""The templates of pages, and the filters that write numbers and names in them."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from crossentropy._report.sentences import number, percent, short

__all__ = ["templates"]


@cache
def templates() -> Environment:
    """Return the templates of this folder; those of HTML escape what they are given."""
    environment = Environment(
        loader=PackageLoader("crossentropy._report"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "short": short,
        "cell": lambda name: short(name).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;"),
    }
    return environment
