"""Sphinx configuration; `make docs` builds the pages into docs/_build."""

project = "crossentropy"
copyright = "2026, the crossentropy developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build"]
napoleon_google_docstring = False
autodoc_typehints = "none"
default_role = "code"
myst_enable_extensions = ["dollarmath"]
