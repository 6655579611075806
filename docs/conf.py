"""Sphinx configuration; `make docs` builds the pages into docs/_build."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

project = "crossentropy"
copyright = "2026, the crossentropy developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build"]
napoleon_google_docstring = False
napoleon_use_param = False  # parameters that are documented together stay together
autodoc_typehints = "none"
default_role = "py:obj"  # a name of the package becomes a link, any other is code
myst_enable_extensions = ["dollarmath"]


def draw_pictures(app: Any) -> None:
    """The pictures of the losses, which the pages show, into a folder that git ignores."""
    sys.path.insert(0, str(HERE))
    from pictures import draw_all

    draw_all(HERE / "_build" / "pictures")


def setup(app: Any) -> None:
    app.connect("builder-inited", draw_pictures)
