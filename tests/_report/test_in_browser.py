"""Reports in Chromium, on a desktop, a telephone and paper: no message, no request, nothing cut off."""

import json
import re
import shutil
import subprocess
from html import escape, unescape

import pytest

from chromium_driver import page_in_chromium
from crossentropy._report.comparison_page import comparison_html
from crossentropy._report.evaluation_page import evaluation_html
from crossentropy._report.provenance import Provenance
from crossentropy.cli.evaluation_pages import tree_of
from reports import hostile_comparisons, hostile_evaluations
from sampling import full

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

WIDTHS = 1280, 390
# A page that holds the report in frames of these widths, looks at each, and writes what it found into itself.
WATCH = """
<pre id="found"></pre>
<script>
window.onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, view = frame.contentWindow;
    const seen = element => {
      const box = element.getBoundingClientRect();
      return box.width > 0 && box.height > 0 && box.left >= 0 && box.right <= view.innerWidth + 1;
    };
    const texts = [...page.querySelectorAll("figure svg text")].map(t => t.getBoundingClientRect().height);
    return {
      overflow: page.documentElement.scrollWidth - view.innerWidth,
      figures: [...page.querySelectorAll("figure svg")].map(seen),
      texts: texts.length ? Math.min(...texts) : 99,
      requests: view.performance.getEntriesByType("resource").map(entry => entry.name),
      scripts: page.scripts.length,
      focusable: [...page.querySelectorAll("[role=region]")].every(e => (e.focus(), page.activeElement === e)),
    };
  });
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script>
"""


def look_at(page, folder, *flags):
    """What the watching page found in each frame, and the lines that Chromium logged of its console."""
    frames = "".join(f'<iframe width="{w}" height="900" srcdoc="{escape(page)}"></iframe>' for w in WIDTHS)
    path = folder / "watch.html"
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8">{frames}{WATCH}', encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", *flags]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(
    "name", ["hostile classes", "hostile slices", "a thousand classes", *full(["one row"])]
)
def test_a_report_is_whole_at_each_width(name, tmp_path):
    check_is_whole(evaluation_html(hostile_evaluations()[name]().to_dict(), Provenance()), tmp_path)


@pytest.mark.parametrize("name", ["hostile names", "three classes", *full(["one row"])])
def test_a_report_of_models_is_whole_at_each_width(name, tmp_path):
    check_is_whole(comparison_html(tree_of(hostile_comparisons()[name]()), Provenance()), tmp_path)


def check_is_whole(page, folder):
    frames, messages = look_at(page, folder)
    assert messages == []
    for frame in frames:
        assert frame["overflow"] <= 0
        assert all(frame["figures"])
        assert frame["texts"] >= 9  # pixels
        assert frame["requests"] == []
        assert frame["scripts"] == 0
        assert frame["focusable"]


# ------------------------------------------------------------------------------------------------------- on paper

#: A page of A4 within margins of 1 cm, in CSS pixels of 1/96 inch.
PAPER = 718, 1046
# Boxes of what must not be cut off or split, and the colors of each picture and of the page.
PRINTED = """
(() => {
  const boxes = selector => [...document.querySelectorAll(selector)].map(element => {
    const box = element.getBoundingClientRect();
    return [box.left, box.right, box.height, getComputedStyle(element).breakInside];
  });
  const colors = new Set();
  document.querySelectorAll("body, h1, figure svg *, .mark *").forEach(element => {
    const style = getComputedStyle(element);
    colors.add([style.color, style.fill, style.stroke, style.backgroundColor].join());
  });
  return {
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    figures: boxes("figure"),
    rows: boxes("tr"),
    after: [...document.querySelectorAll("h1, h2, h3")].map(e => getComputedStyle(e).breakAfter),
    tables: [...document.querySelectorAll(".table")].map(e => getComputedStyle(e).overflowX),
    heads: [...document.querySelectorAll("thead")].map(e => getComputedStyle(e).display),
    colors: [...colors].sort(),
  };
})()
"""


@pytest.mark.parametrize("name", ["hostile classes", "hostile slices", *full(["a thousand classes"])])
def test_a_report_is_whole_on_paper(name, tmp_path):
    check_is_whole_on_paper(evaluation_html(hostile_evaluations()[name]().to_dict(), Provenance()), tmp_path)


@pytest.mark.parametrize("name", ["hostile names", "fourteen models and two hundred slices"])
def test_a_report_of_models_is_whole_on_paper(name, tmp_path):
    check_is_whole_on_paper(comparison_html(tree_of(hostile_comparisons()[name]()), Provenance()), tmp_path)


def check_is_whole_on_paper(text, folder):
    (folder / "report.html").write_text(text, encoding="utf-8")
    with page_in_chromium(folder / "profile") as page:
        page.open(folder / "report.html")
        printed = {}
        for scheme in ("light", "dark"):
            page.show(*PAPER, prefers_color_scheme=scheme)
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            page.ask("Emulation.setEmulatedMedia", media="print", features=features)
            printed[scheme] = page.run(PRINTED)
    assert printed["dark"] == printed["light"]  # paper is white: what is light by night would not be seen
    found = printed["light"]
    assert found["width"] == PAPER[0]
    assert found["overflow"] <= 0
    assert found["figures"]
    for left, right, height, inside in found["figures"] + found["rows"]:
        assert 0 <= left < right <= PAPER[0] + 1
        assert 0 < height < PAPER[1]
        assert inside == "avoid"  # with the height: not split between two pages
    assert set(found["after"]) == {"avoid"}  # no heading stands alone at the end of a page
    assert set(found["tables"]) <= {"visible"}
    assert set(found["heads"]) <= {"table-header-group"}  # again on each page
