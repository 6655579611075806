"""The site builds without a warning, has every public name, and is whole in a browser that asks nobody else."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from site_walk import CHROMIUM, walk

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    "losses",
    "links",
    "targets",
    "information",
    "cross_entropy_method",
    "torch",
    "torch.distributed",
    "jax",
]
MODULES += [
    "sklearn",
    "boosting",
    "evaluation",
    "evaluation.calibrators",
    "evaluation.spark",
    "evaluation.ray",
]
# What a reader searches for, and a page that must be among the first ten found.
SEARCHES = {
    "truncated back-propagation": "guide/truncated_backpropagation.html",
    "autocast": "guide/autocast.html",
    "gradient accumulation": "guide/accumulation.html",
    "accumulation": "guide/accumulation.html",
    "DDP": "guide/accumulation.html",
    "Lightning": "transformers.html",
    "boosting": "boosting.html",
    "calibration": "calibration.html",
    "label noise": "guide/noise.html",
    "imbalance": "guide/imbalance.html",
    "perplexity": "language_models.html",
    "temperature": "gallery/plot_softmax_temperature.html",
    "CrossEntropyLoss": "reference/modules/crossentropy.torch.html",
    "optax": "migration.html",
}

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; a warning fails the build."""
    pytest.importorskip("sphinx_gallery", reason="needs the dependency group docs")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-n",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "docs",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def found(site, tmp_path_factory):
    """What a walk through all pages has found."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    pages = sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))
    pages = [page for page in pages if not page.startswith("_static")]
    return walk(site, pages, list(SEARCHES), tmp_path_factory.mktemp("walk"))


def test_every_public_name_has_an_entry(site):
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    entries = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    missing = []
    for name in MODULES:
        module = importlib.import_module(f"crossentropy.{name}")
        for public in module.__all__:
            origin = getattr(getattr(module, public), "__module__", None) or ""
            if not origin.startswith("torch.") and f"crossentropy.{name}.{public}" not in entries:
                missing.append(f"{name}.{public}")
    source = (ROOT / "src" / "crossentropy" / "keras" / "__init__.py").read_text(encoding="utf-8")
    of_keras = ast.literal_eval(re.search(r"__all__ = (\[.*?\])", source, re.DOTALL)[1])  # read, not imported
    missing += [name for name in of_keras if f"crossentropy.keras.{name}" not in entries]
    assert missing == []


def test_no_page_names_a_file_elsewhere(site):
    """In what a browser loads by itself; links may lead anywhere."""
    loads = re.compile(
        r"<(?:script|img|source|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+href=\"(?:https?:)?//"
    )
    assert [
        page.name for page in site.rglob("*.html") if loads.search(page.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_walk_sees_what_is_wrong_with_a_page(tmp_path):
    (tmp_path / "bad.html").write_text(
        '<!DOCTYPE html><div style="width:500px">wide</div><img src="none.png"><script>nothing()</script>'
        '<link rel="stylesheet" href="https://example.org/style.css"><span class="math">x</span>'
        "<script>MathJax = {startup: {promise: Promise.resolve()}}</script>"
    )
    found = walk(tmp_path, ["bad.html"], [], tmp_path, seconds=120)
    page = found["pages"]["bad.html"]
    assert [width for width, excess in page["overflow"].items() if excess > 0] == ["390 light", "390 dark"]
    assert [len(page[name]) for name in ("broken", "unnamed", "elsewhere")] == [1, 1, 1]
    assert (page["formulas"], page["set"]) == (1, 0)
    assert any("nothing is not defined" in line for line in found["console"])


def test_the_walk_ended(found):
    assert "error" not in found


def test_the_console_is_empty_and_nothing_is_asked_for_elsewhere(found):
    assert found["console"] == []
    assert {path: page["elsewhere"] for path, page in found["pages"].items() if page["elsewhere"]} == {}


def test_no_page_is_wider_than_the_screen(found):
    wide = {
        path: {screen: excess for screen, excess in page["overflow"].items() if excess > 0}
        for path, page in found["pages"].items()
    }
    assert {path: screens for path, screens in wide.items() if screens} == {}


def test_every_formula_is_set(found):
    assert sum(page["formulas"] for page in found["pages"].values()) > 100
    wrong = {
        path: (page["formulas"], page["set"], page["faults"])
        for path, page in found["pages"].items()
        if page["faults"] or page["set"] < page["formulas"]
    }
    assert wrong == {}


def test_every_image_is_there_and_has_a_text(found):
    assert [image for page in found["pages"].values() for image in page["broken"] + page["unnamed"]] == []


@pytest.mark.parametrize("query", SEARCHES)
def test_the_search_finds_what_readers_look_for(found, query):
    first = [link.split("#")[0].split("?")[0] for link in found["searches"][query]][:10]
    assert SEARCHES[query] in first
