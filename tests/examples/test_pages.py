"""What every page of the gallery has: a title, its claim, a picture in the house style, a test."""

import ast
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGES = sorted(EXAMPLES.glob("plot_*.py"))
TESTS = "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.parent.glob("tests/examples/test_*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_a_title_and_two_paragraphs(page):
    title, underline, *rest = ast.get_docstring(ast.parse(page.read_text(encoding="utf-8"))).split("\n")
    assert underline == "=" * len(title)
    assert len("\n".join(rest).strip().split("\n\n")) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_draws_in_the_house_style_and_prints(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    assert 'plt.style.use(Path(__file__).with_name("house.mplstyle"))' in text
    assert "plt.subplots(" in text or "plt.figure(" in text
    assert "print(" in text


def test_the_introduction_names_every_page():
    introduction = (EXAMPLES / "README.rst").read_text(encoding="utf-8")
    named = re.findall(r":ref:`sphx_glr_gallery_(plot_\w+)\.py`", introduction)
    assert {page.stem for page in PAGES} <= set(named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_a_test(page):
    assert page.stem.removeprefix("plot_") in TESTS
