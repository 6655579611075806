"""The pages of the documentation have every public name, and the pictures they show are drawn."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

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


def test_every_page_is_in_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^losses/(\w+)$", index, re.MULTILINE)) == [page.stem for page in PAGES]


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
