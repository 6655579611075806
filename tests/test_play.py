"""The page to play with: its formulas against the package, and what a reader does with it, in Chromium."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import crossentropy as ce
from chromium_driver import page_in_chromium
from site_walk import CHROMIUM

ROOT = Path(__file__).resolve().parents[1]
PLAY = ROOT / "docs" / "_static" / "play.html"
LINKS = {
    "cross_entropy": lambda _: ce.links.CrossEntropy(),
    "focal": ce.links.Focal,
    "generalized": ce.links.GeneralizedCrossEntropy,
    "absolute": lambda _: ce.links.MeanAbsoluteError(),
    "poly": ce.links.Poly,
    "huberized": ce.links.PartiallyHuberized,
}
# Contrast of each text with the first background under it that is not transparent (WCAG 2.2, 1.4.3).
CONTRASTS = """(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => { const [r, g, b] = numbers(color).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = element => { for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (numbers(color).length === 3) return color; } };
  return [...document.querySelectorAll("body *:not(script)")]
    .filter(e => !e.disabled)
    .filter(e => e.matches("input, select") || [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => { const style = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
      const pair = [light(svg ? style.fill : style.color), light(behind(e))].sort((a, b) => a - b);
      return [(pair[1] + 0.05) / (pair[0] + 0.05), e.outerHTML.slice(0, 80)]; });
})()"""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with page_in_chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser):
    """The page, newly loaded, which has logged nothing and asked for nothing when the test is over."""
    browser.show(1280, prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.messages.clear()
    browser.requests.clear()
    browser.open(PLAY)
    yield browser
    assert browser.messages == []
    assert browser.requests == [PLAY.as_uri()]


def drawn_case(random):
    """Logits and the options of the page's functions."""
    C = int(random.integers(2, 6))
    logits = (random.normal(size=C) * random.choice([0.1, 1, 10, 100])).tolist()
    if random.random() < 0.2:
        logits[0] = max(logits)  # a tie, whose log-odds are as small as the other classes
    link = str(random.choice(list(LINKS)))
    least, most = {"focal": (0, 5), "generalized": (0.05, 1), "poly": (0, 5), "huberized": (1, 20)}.get(
        link, (0, 0)
    )
    options = {
        "label": int(random.integers(C)),
        "temperature": float(np.exp(random.uniform(-1.5, 1.5))),
        "smoothing": float(random.uniform(0, 0.9) * random.integers(2)),
        "noise": float(random.uniform(0, 0.9) * random.integers(2)),
        "weights": random.uniform(0, 3, size=C).tolist(),
        "link": link,
        "parameter": float(random.uniform(least, most)),
    }
    return logits, options


def by_package(logits, options):
    """What the package says of a case of the page."""
    C, label, noise, smoothing = len(logits), options["label"], options["noise"], options["smoothing"]
    noisy = np.full(C, noise / (C - 1))
    noisy[label] = 1 - noise
    target = (1 - smoothing) * noisy + smoothing / C
    z, labels = np.asarray([logits]), noisy[None] if noise else np.asarray([label])
    shared = {"temperature": options["temperature"], "label_smoothing": smoothing, "reduction": "sum"}
    loss, gradient = ce.loss_and_gradient(
        ce.softmax_cross_entropy,
        z,
        labels,
        class_weight=np.asarray(options["weights"]),
        link=LINKS[options["link"]](options["parameter"]),
        **shared,
    )
    every_label = ce.target_statistics(
        np.repeat(z, C, 0) / options["temperature"], np.arange(C), entropy=True
    )
    p = np.exp(every_label.log_prob)
    cross_entropy, target_entropy = ce.softmax_cross_entropy(z, labels, **shared), ce.entropy(target)
    difference = cross_entropy - target_entropy  # has digits where it does not cancel, and p may be 0 there
    return {
        "loss": loss,
        "gradient": gradient[0],
        "probabilities": p,
        "target": target,
        "log_odds_against": -every_label.log_odds[label],
        "entropy": every_label.entropy[0],
        "target_entropy": target_entropy,
        "cross_entropy": cross_entropy,
        "kl_divergence": difference if difference > cross_entropy / 2 else ce.kl_divergence(target, p),
    }


@needs_chromium
def test_a_thousand_cases_have_the_numbers_of_the_package(page):
    random = np.random.default_rng(7)
    cases = [drawn_case(random) for _ in range(1000)]
    found = page.run(f"{json.dumps(cases)}.map(([logits, options]) => CE.explain(logits, options))")
    for case, ours in zip(cases, found, strict=True):
        truth = by_package(*case)
        assert ours.keys() == truth.keys()
        for name, value in truth.items():
            # where the terms of a gradient cancel, they have the digits of a double; under 1e-300 a number has fewer
            least = 2**-52 * np.abs(value).max() if name == "gradient" else 0.0
            assert_allclose(
                ours[name], value, rtol=1e-12, atol=max(least, 1e-300), err_msg=f"{name} of {case}"
            )


@needs_chromium
@pytest.mark.parametrize("link", ["cross_entropy", "focal", "generalized"])
def test_the_gradient_of_the_network_is_that_of_pytorch(page, link):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    points = [
        {"x": x, "y": y, "label": int(c)}
        for (x, y), c in zip(random.normal(size=(9, 2)).tolist(), random.integers(3, size=9), strict=True)
    ]
    options = {"link": link, "parameter": 0.6, "smoothing": 0.1, "weights": [0.5, 1.0, 2.0]}
    net = page.run("window.net = CE.network([2, 5, 4, 3], CE.randomNumbers(1))")
    ours = page.run(f"CE.networkLoss(net, {json.dumps(points)}, {json.dumps(options)})")

    weights = torch.tensor(net["weights"], dtype=torch.float64, requires_grad=True)
    parts = torch.split(weights, [10, 5, 20, 4, 12, 3])
    values = torch.tensor([[point["x"], point["y"]] for point in points], dtype=torch.float64)
    for i, size in enumerate((5, 4, 3)):
        values = torch.nn.functional.linear(values, parts[2 * i].reshape(size, -1), parts[2 * i + 1])
        values = values.tanh() if i < 2 else values
    loss = ce.softmax_cross_entropy(
        values,
        torch.tensor([point["label"] for point in points]),
        label_smoothing=0.1,
        class_weight=torch.tensor(options["weights"], dtype=torch.float64),
        link=LINKS[link](0.6),
    )
    loss.backward()
    assert_allclose(ours["loss"], loss.item(), rtol=1e-12)
    assert_allclose(ours["gradient"], weights.grad, rtol=1e-10, atol=1e-15)


@needs_chromium
def test_a_code_has_the_bits_of_the_package(page):
    random = np.random.default_rng(4)
    for word in ("mississippi", "a", "été", "0 1 1", "abcdefghijklmnopqrstuvwx"):
        parts = {letter: int(random.integers(1, 25)) for letter in word}
        found = page.run(f"CE.code(Array.from({json.dumps(word)}), {json.dumps(parts)})")
        letters = list(dict.fromkeys(word))
        p = np.asarray([word.count(letter) / len(word) for letter in letters])
        q = np.asarray([parts[letter] / sum(parts.values()) for letter in letters])
        assert found["alphabet"] == letters
        assert_allclose(found["entropy"], ce.entropy(p, base=2), rtol=1e-12)
        assert_allclose(found["cross_entropy"], ce.cross_entropy(p, q, base=2), rtol=1e-12)
        assert_allclose(found["kl_divergence"], ce.kl_divergence(p, q, base=2), rtol=1e-12, atol=1e-16)
        assert_allclose(found["bits"], -sum(np.log2(q[letters.index(letter)]) for letter in word), rtol=1e-12)


def shown_numbers(page, panel):
    """The terms of a panel with the first number that is shown for each."""
    rows = f"[...document.querySelectorAll('#{panel}-numbers > div')]"
    pairs = page.run(f"{rows}.map(e => [e.children[0].textContent, e.children[1].firstChild.textContent])")
    numbers = {term: re.match("−?[0-9.]+", text) for term, text in pairs}
    return {term: float(number[0].replace("−", "-")) for term, number in numbers.items() if number}


@needs_chromium
def test_keys_move_a_logit_and_a_probability(page):
    page.press("ArrowRight", "[aria-label='Logit of A']", 5)  # from 2 to 2.5
    truth = ce.softmax_cross_entropy(np.asarray([[2.5, 1.0, -1.0]]), np.asarray([0]))
    assert shown_numbers(page, "loss")["loss"] == round(float(truth), 4)
    page.press("Home", "[aria-label='Probability of B']")  # 0.001, and the others share the rest as before
    logits = page.run(
        "[...document.querySelectorAll('[aria-label^=\"Logit of\"][type=range]')].map(e => +e.value)"
    )
    assert (logits[0], logits[2]) == (2.5, -1)
    truth = -np.log(0.999 / (1 + np.exp(-3.5)))
    assert shown_numbers(page, "loss")["loss"] == round(float(truth), 4)


@needs_chromium
def test_options_of_the_loss_are_chosen(page):
    page.press("ArrowDown", "#loss-options select")  # focal
    page.write("3", "[aria-label='γ, number']")
    page.write("2", "[aria-label='Temperature, number']")
    page.write("0.1", "[aria-label='Smoothing, number']")
    page.write("3", "[aria-label='Weight of B, number']")
    truth = ce.softmax_cross_entropy(
        np.asarray([[2.0, 1.0, -1.0]]),
        np.asarray([0]),
        temperature=2.0,
        label_smoothing=0.1,
        class_weight=np.asarray([1.0, 3.0, 1.0]),
        link=ce.links.Focal(3.0),
        reduction="sum",
    )
    assert shown_numbers(page, "loss")["loss"] == round(float(truth), 4)


@needs_chromium
def test_a_network_is_trained_until_it_is_stopped(page):
    page.click("#train")
    deadline = time.monotonic() + 60
    while shown_numbers(page, "network")["step"] < 100 and time.monotonic() < deadline:
        page.run("new Promise(done => setTimeout(done, 50))")
    page.click("#train")
    numbers = shown_numbers(page, "network")
    assert numbers["step"] >= 100
    assert numbers["loss"] < 0.3 < np.log(2)
    assert numbers["accuracy, right labels"] > 90
    page.run("new Promise(done => setTimeout(done, 100))")
    assert shown_numbers(page, "network")["step"] == numbers["step"]


@needs_chromium
def test_without_motion_a_network_is_trained_in_one_go(page):
    page.show(1280, prefers_reduced_motion="reduce")
    assert page.run("document.querySelector('#train').textContent") == "Train 200 steps"
    page.click("#train")
    assert shown_numbers(page, "network")["step"] == 200


def trained(page, rounds):
    """The numbers of the network after as many rounds of 200 steps, without motion."""
    page.click("#new-weights")
    for _ in range(rounds):
        page.click("#train")
    return shown_numbers(page, "network")


@needs_chromium
def test_a_bounded_loss_learns_fewer_wrong_labels_as_the_page_says(page):
    page.show(1280, prefers_reduced_motion="reduce")
    page.click("#flip-labels")
    plain = trained(page, 5)
    page.press("ArrowDown", "#network-options select", 2)  # generalized cross-entropy
    bounded = trained(page, 5)
    assert plain["accuracy, labels as given"] > bounded["accuracy, labels as given"]
    assert plain["accuracy, right labels"] < 90 < bounded["accuracy, right labels"]


@needs_chromium
def test_weights_recall_a_rare_class_as_the_page_says(page):
    page.show(1280, prefers_reduced_motion="reduce")
    page.press("ArrowDown", "#pattern")
    page.click("#thin-points")
    plain = trained(page, 1)
    page.click("#balanced")
    weighed = trained(page, 1)
    assert plain["recall of A"] < plain["recall of B"]
    assert plain["recall of A"] < weighed["recall of A"]


@needs_chromium
def test_points_are_placed_by_click_and_by_key(page):
    page.click("#clear-points")
    page.click("#plane", 0.25, 0.25)
    page.press("ArrowRight", "#plane", 3)
    page.press(" ", "#plane")
    assert page.run("document.querySelector('#plane-text').textContent") == "2 points."
    page.click("#add-points")
    assert page.run("document.querySelector('#plane-text').textContent") == "22 points."
    page.click("#thin-points")
    assert page.run("document.querySelector('#plane-text').textContent") == "5 points."


@needs_chromium
def test_a_word_is_coded_with_its_own_frequencies(page):
    page.write("abracadabra", "#word")
    assert shown_numbers(page, "code")["+ KL(p ‖ q)"] > 0.2
    page.click("#own-frequencies")
    numbers = shown_numbers(page, "code")
    entropy = ce.entropy([5, 2, 2, 1, 1], base=2, normalize=True)
    assert numbers["+ KL(p ‖ q)"] == 0
    assert numbers["the word in your code"] == round(11 * float(entropy), 2)
    page.press("Home", "[aria-label='r']")  # no part for r
    assert "∞" in page.run("document.querySelector('#code-numbers').textContent")
    page.write("", "#word")
    assert page.run("document.querySelector('#coded').children.length") == 0


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_whole_and_readable(page, width, theme):
    page.show(width, prefers_color_scheme=theme)
    for _ in range(2):
        page.click("#add-class")
    page.write("WWWWWWWWWWWWWWWWWWWWWWWi", "#word")
    page.press("End", "[aria-label='W']")
    page.write("-1000", "[aria-label='Logit of A, number']")
    assert page.run("document.documentElement.scrollWidth") <= width  # innerWidth grows with what overflows
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 100
    assert [text for contrast, text in contrasts if contrast < 4.5] == []


@needs_chromium
def test_every_control_has_a_name(page):
    nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "slider",
        "spinbutton",
        "radio",
        "checkbox",
        "combobox",
        "textbox",
        "button",
        "application",
        "image",
    }
    controls = [node for node in nodes if node["role"]["value"] in roles]
    assert len(controls) > 40
    assert [node for node in controls if not node["name"]["value"]] == []


@needs_chromium
def test_the_driver_sees_a_message_and_a_request(browser, tmp_path):
    (tmp_path / "bad.html").write_text('<img src="https://example.org/x.png"><script>nothing()</script>')
    browser.messages.clear()
    browser.requests.clear()
    browser.open(tmp_path / "bad.html")
    assert "https://example.org/x.png" in browser.requests
    assert any("nothing is not defined" in message for message in browser.messages)


def test_the_page_is_one_small_file():
    text = PLAY.read_text(encoding="utf-8")
    assert len(text.encode()) < 300_000
    assert re.findall(r"https?://[^\s\"'<)]+", text) == ["http://www.w3.org/2000/svg"]  # a name of elements


def test_the_documentation_leads_to_the_page():
    assert all(
        "_static/play.html" in (ROOT / page).read_text(encoding="utf-8")
        for page in ("README.md", "docs/index.md", "docs/explain.md")
    )
