"""The report of an evaluation: what it shows, its size, hostile names, colors that can be read."""

import math
import re

import numpy as np
import pytest

from crossentropy._report.evaluation_page import evaluation_html, evaluation_markdown
from crossentropy._report.interval_marks import scale_of
from crossentropy._report.provenance import Provenance, Source
from crossentropy._report.style import COLORS, DARK
from crossentropy.evaluation import evaluate
from reports import HOSTILE, Elements, hostile_evaluations

SCRIPT = HOSTILE[0]


@pytest.fixture(scope="module")
def result():
    r = np.random.default_rng(0)
    p = r.random(3000)
    y = (r.random(3000) < p).astype(int)
    return evaluate(
        labels=y, proba=p, slice={"place": np.asarray(["north", "south"])[r.integers(0, 2, 3000)]}
    )


@pytest.fixture(scope="module")
def page(result):
    return evaluation_html(
        result.to_dict(), Provenance([Source("rows.csv", 12, "ab" * 32)], {"numpy": "2"}, "run it")
    )


def test_the_page_has_the_scores_and_how_they_were_made(page, result):
    for text in (
        f"{result.log_loss:.4g}",
        "south",
        "rows.csv",
        "ab" * 32,
        "run it",
        "numpy 2",
        "Reliability diagram",
    ):
        assert text in page


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    elements = Elements(page).found
    assert not [tag for tag, _ in elements if tag in ("script", "link", "img", "iframe", "object", "image")]
    asking = [
        a
        for _, a in elements
        if {"src", "href", "onload", "onclick"} & a.keys() and a.get("href", "#")[0] != "#"
    ]
    assert not asking
    assert "default-src 'none'" in page


def test_identifiers_are_unique_and_references_have_a_target(page):
    elements = Elements(page).found
    names = [a["id"] for _, a in elements if "id" in a]
    assert len(names) == len(set(names))
    for _, a in elements:
        for reference in a.get("aria-labelledby", "").split():
            assert reference in names


def test_each_picture_says_what_it_shows(page):
    pictures = [a for tag, a in Elements(page).found if tag == "svg"]
    assert pictures
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in pictures)
    assert re.search(
        r"<desc id=\"reliability-description\">The frequency of 1 as an increasing function", page
    )


def test_wide_tables_are_reached_by_the_keyboard(page):
    regions = [a for _, a in Elements(page).found if a.get("role") == "region"]
    assert regions
    assert all(a["tabindex"] == "0" for a in regions)


def test_the_same_evaluation_has_the_same_bytes(result, tmp_path):
    for name in "ab":
        result.to_html(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", hostile_evaluations())
def test_a_hostile_evaluation_has_a_small_page_in_which_its_names_are_text(name):
    result = hostile_evaluations()[name]()
    page = evaluation_html(result.to_dict(), Provenance())
    assert len(page.encode()) < 300_000
    assert SCRIPT not in page
    assert not [tag for tag, _ in Elements(page).found if tag in ("script", "b")]
    text = evaluation_markdown(result.to_dict(), Provenance())
    assert SCRIPT not in text
    widths = {
        line.replace("\\|", "").count("|") for line in text.split("## ")[-2].splitlines() if "|" in line
    }
    assert len(widths) == 1  # every line of a table has as many cells


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("colors", "papers"),
    [(COLORS, ("#ffffff", "#f3f6f9")), (DARK, ("#0d1117", "#161d26"))],
    ids=["light", "dark"],
)
def test_colors_of_text_have_a_contrast_of_at_least_four_and_a_half(colors, papers, page):
    for paper in papers:
        assert paper in page
        for name in ("ink", "quiet", "orange"):
            assert contrast(colors[name], paper) >= 4.5
        assert contrast(colors["blue"], paper) >= 3  # lines and dots


def test_a_plot_is_a_figure(result):
    assert [axes.get_ylabel() for axes in result.plot().axes] == ["frequency of 1", "% of rows"]


def test_groups_of_infinite_loss_have_a_report_without_marks():
    result = evaluate(labels=[0, 1, 0, 1], proba=[1.0, 0.0, 1.0, 0.0])
    page = evaluation_html(result.to_dict(), Provenance())
    assert "∞" in page
    assert 'class="mark"' not in page


def test_an_infinite_mean_is_marked_at_the_largest_finite_loss():
    assert scale_of([0.5, 2.0, math.inf], [None, (1.0, 3.0), None], math.inf).reference == 2.0
