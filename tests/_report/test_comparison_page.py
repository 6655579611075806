"""The report of a comparison: what it shows, its size, hostile names, models without intervals."""

import re

import numpy as np
import pytest

from crossentropy._report.comparison_page import comparison_html, comparison_markdown
from crossentropy._report.provenance import Provenance, Source
from crossentropy.cli.evaluation_pages import tree_of
from crossentropy.evaluation import compare
from reports import Elements, hostile_comparisons


@pytest.fixture(scope="module")
def result():
    return hostile_comparisons()["hostile names"]()


def page_of(result):
    return comparison_html(tree_of(result), Provenance())


def test_it_has_a_picture_of_the_differences_of_the_parts_and_of_each_murphy_diagram(result):
    page = page_of(result)
    titles = re.findall(r'<title id="([^"]*)-title">', page)
    assert titles == ["differences", "parts", *(f"murphy{i}" for i in range(3))]
    assert len(re.findall(r'<desc id="[^"]*">[^<]{20,}', page)) == len(titles)


def test_the_sentence_of_each_difference_is_its_verdict(result):
    tree = tree_of(result)
    text = comparison_markdown(tree, Provenance((Source("a.parquet", 1, "0" * 64),)))
    for difference in tree["differences"]:
        assert difference["sentence"] in text
    assert "a.parquet, 1 bytes" in text


@pytest.mark.parametrize("name", hostile_comparisons())
def test_pages_are_small_well_formed_and_run_nothing(name):
    result = hostile_comparisons()[name]()
    page = page_of(result)
    assert len(page.encode()) < 300_000
    found = Elements(page).found
    assert not [tag for tag, _ in found if tag in ("script", "link", "iframe", "img", "b")]
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert page == page_of(result)


def test_models_without_a_difference_have_no_picture_of_it():
    result = compare(
        labels=[1, 0, 1], proba={"a": np.asarray([0.0, 0.2, 1.0]), "b": np.asarray([0.0, 0.3, 0.9])}
    )
    page = page_of(result)
    assert result.differences[0].difference is None
    assert 'id="differences-title"' not in page
    assert "do not compare" in page


def test_a_name_of_ten_thousand_letters_is_short_in_the_verdict():
    p = np.asarray([0.2, 0.3, 0.9])
    (difference,) = tree_of(compare(labels=[1, 0, 1], proba={"a" * 10_000: p, "b": p**2}))["differences"]
    assert "a…a" in difference["sentence"]
    assert len(difference["sentence"]) < 300
