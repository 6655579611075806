"""Sphinx configuration; `make docs` builds the pages into docs/_build."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import crossentropy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # of the modules beside this one
os.environ.setdefault("KERAS_BACKEND", "numpy")  # the quickest to import; what the pages say holds for each

# Examples leave memory behind, as compiled programs, for which joblib ends a worker and starts another.
warnings.filterwarnings("ignore", message="A worker stopped", module="joblib")

project = "crossentropy"
copyright = "2026, the crossentropy developers"
version = release = crossentropy.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax among the files of the site, so that no page asks for it elsewhere
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/**/*.ipynb"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "crossentropy"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}
html_sidebars = {
    page: [] for page in ("index", "start", "choose", "migration")
}  # they have no pages below them

napoleon_google_docstring = False
napoleon_use_param = False  # parameters that are documented together stay together
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autosummary_ignore_module_all = False  # `__all__` says what is public
autosummary_imported_members = True
default_role = "py:obj"  # a name of the package becomes a link, any other is code
# Types of NumPy's docstrings are words, and names in single backquotes are also those of parameters and libraries.
# What looks like a name of this package must be one.
nitpicky = True
nitpick_ignore_regex = [("py:(obj|class|exc)", r"(?!crossentropy\.).*")]
suppress_warnings = [
    "ref.python",  # one word in a type, as the n of (n,), is an attribute of several classes
    "myst.header",  # sections of README.md are pages here, and their subsections begin at level 3
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "parallel": 2,  # most examples use one thread
    "within_subsection_order": "gallery_order.OrderOfTheReadme",
    "min_reported_time": 0,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "copyfile_regex": r".*\.mplstyle",
    "remove_config_comments": True,
    "write_computation_times": False,  # pages with scripts from elsewhere
    "reset_modules": ("matplotlib", "script_file.define_file"),
}


def draw_pictures(app: Sphinx) -> None:
    """The pictures of the losses and of the front page, into a folder that git ignores."""
    from doors import draw_doors
    from pictures import draw_all

    draw_all(HERE / "_build" / "pictures")
    draw_doors(HERE / "_build" / "pictures")


def skip_what_others_document(
    app: Sphinx, kind: str, name: str, value: Any, skip: bool, options: Any
) -> bool | None:
    """PyTorch documents its own losses, which `crossentropy.torch` passes on, scikit-learn its metadata routing.

    A module has a page of its own.
    """
    theirs = (getattr(value, "__module__", None) or "").startswith(("torch.", "sklearn."))
    return True if theirs or kind == "module" or name.endswith("_request") else None


def link_short_name(app: Sphinx, env: BuildEnvironment, node: Any, content: nodes.Node) -> nodes.Node | None:
    """``crossentropy.softmax_cross_entropy`` leads to where the function is documented, in ``crossentropy.losses``."""
    target = node.get("reftarget", "")
    for module in ("losses", "information"):
        full = target.replace("crossentropy.", f"crossentropy.{module}.", 1)
        if full != target and full in env.domains.python_domain.objects:
            return env.domains.python_domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", full, node, content
            )
    return None


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", draw_pictures, priority=100)  # before the gallery, whose style stays
    app.connect("autodoc-skip-member", skip_what_others_document)
    app.connect("missing-reference", link_short_name)
