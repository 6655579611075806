"""The pages of the documentation are reached, have every public name, and show pictures that are drawn."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import crossentropy
from crossentropy import cross_entropy_method, links, losses

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("losses/*.rst"))}
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class):: (\w+)$", re.MULTILINE)


@pytest.fixture
def pictures(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return __import__("pictures")


@pytest.mark.parametrize("module", [losses, links, cross_entropy_method], ids=lambda module: module.__name__)
def test_every_public_name_is_documented_once(module):
    documented = [name for text in PAGES.values() for name in DIRECTIVE.findall(text)]
    assert {name: documented.count(name) for name in module.__all__} == dict.fromkeys(module.__all__, 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_table_of_a_page_lists_what_the_page_documents(page):
    tables = re.findall(r"autosummary::\n   :nosignatures:\n\n((?:   \w+\n)+)", PAGES[page])
    assert " ".join(tables).split() == DIRECTIVE.findall(PAGES[page])


def entries(page):
    """The pages that a page lists in its tables of contents, without those that the build writes."""
    text = page.read_text(encoding="utf-8")
    markdown = re.findall(r"^```{toctree}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    restructured = re.findall(r"^\.\. toctree::\n((?:(?: {3}.*)?\n)+)", text, re.MULTILINE)
    for block in markdown + restructured:
        for line in block.splitlines():
            entry = re.sub(r".*<(.*)>$", r"\1", line.strip())
            if entry and not entry.startswith((":", "gallery/")):
                yield next(
                    path
                    for ending in (".md", ".rst")
                    if (path := (page.parent / f"{entry}{ending}").resolve()).exists()
                )


def test_every_page_is_reached_from_the_front_page():
    reached, todo = set(), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        todo += [other for other in entries(page) if other not in reached]
    written = {page for ending in ("md", "rst") for page in DOCS.rglob(f"*.{ending}")}
    generated = [DOCS / folder for folder in ("_build", "_templates", "gallery", "reference/modules")]
    assert reached == {page for page in written if not any(page.is_relative_to(path) for path in generated)}


def test_every_public_module_is_in_the_reference():
    reference = (DOCS / "reference" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([a-z._]+)$", reference, re.MULTILINE))
    folder = Path(crossentropy.__file__).parent
    public = {path.stem for path in folder.iterdir() if path.stem[0] != "_" and path.suffix in ("", ".py")}
    by_family = {"losses", "links", "cross_entropy_method"}
    assert public - by_family - {"cli"} <= listed
    assert set(crossentropy.__all__) - by_family - public <= listed


def test_the_pages_show_every_picture_and_no_other(pictures):
    shown = [name for text in PAGES.values() for name in re.findall(r"_build/pictures/(\w+)\.svg", text)]
    assert sorted(shown) == sorted(pictures.PICTURES)


def test_every_curve_of_a_picture_is_finite(pictures):
    for name, picture in pictures.PICTURES.items():
        for label, rows in picture.curves.items():
            values = rows(pictures.MARGIN)
            assert values.shape == pictures.MARGIN.shape, (name, label)
            assert np.isfinite(values).all(), (name, label)


def test_a_picture_is_drawn_with_the_names_of_its_curves(pictures, tmp_path):
    pictures.draw(pictures.PICTURES["rivals"], tmp_path / "rivals.svg")
    drawn = (tmp_path / "rivals.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in pictures.PICTURES["rivals"].curves)
