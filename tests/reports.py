"""Evaluations and comparisons whose reports are hard to draw: long, strange and hostile names, many and few rows."""

from html.parser import HTMLParser

import numpy as np

from crossentropy.evaluation import compare, evaluate

HOSTILE = [
    "<script>alert(1)</script>",
    "</style></svg>\"'><b onmouseover=alert(1)>",
    "a" * 10_000,
    "قطة سوداء",
    "{{ 7 * 7 }} | $x$ \\ `code`",
    "line\nbreak\x00",
    "猫",
]


class Elements(HTMLParser):
    """The elements of a page, with their attributes, in order; every opening tag needs its end."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def hostile_evaluations():
    """Functions that make the evaluations, by name."""
    return {
        "hostile classes": lambda: _classes(HOSTILE),
        "hostile slices": _slices,
        "a thousand classes": lambda: _classes([f"class {i}" for i in range(1000)], n=3000),
        "two hundred slices": lambda: _many_slices(200),
        "one row": lambda: evaluate(labels=[1], proba=[0.7]),
        "infinite": lambda: evaluate(labels=[1, 0, 1], proba=[0.0, 0.2, 1.0]),
        "one good row": _all_bad_but_one,
        "soft labels": lambda: evaluate(
            labels=[[0.2, 0.8], [0.5, 0.5]], proba=[[0.3, 0.7], [0.4, 0.6]], soft_labels=True
        ),
        "perfect": lambda: evaluate(labels=[0, 1, 0, 1], proba=[0.0, 1.0, 0.0, 1.0]),
    }


def _classes(names, n=600):
    r = np.random.default_rng(0)
    p = r.dirichlet(np.ones(len(names)), n)
    return evaluate(labels=np.asarray(names, object)[r.integers(0, len(names), n)], proba=p, classes=names)


def _slices():
    r = np.random.default_rng(1)
    p = r.random(700)
    return evaluate(
        labels=(r.random(700) < p).astype(int),
        proba=p,
        slice={HOSTILE[0]: np.asarray(HOSTILE, object)[np.arange(700) % len(HOSTILE)]},
    )


def _many_slices(count):
    r = np.random.default_rng(2)
    p = r.random(5000)
    return evaluate(labels=(r.random(5000) < p).astype(int), proba=p, slice={"shop": np.arange(5000) % count})


def _all_bad_but_one():
    p = np.full((100, 2), 7.0)
    p[42] = 0.25, 0.75
    return evaluate(labels=np.ones(100, int), proba=p, on_bad_rows="skip")


def hostile_comparisons():
    """Functions that make the comparisons, by name."""
    return {
        "hostile names": lambda: _models(HOSTILE[:4], n=400),
        "fourteen models and two hundred slices": lambda: _models([f"m{i}" for i in range(14)], slices=200),
        "three classes": _models_of_three_classes,
        "one row": lambda: compare(labels=[1], proba={"a": np.asarray([0.7]), "b": np.asarray([0.6])}),
    }


def _models(names, n=1000, slices=7):
    r = np.random.default_rng(3)
    p = r.random(n)
    parts = np.asarray([*HOSTILE, *(f"s{i}" for i in range(slices))], object)[np.arange(n) % slices]
    proba = {name: p ** (1 + 0.1 * i) for i, name in enumerate(names)}
    labels = (r.random(n) < p).astype(int)
    return compare(labels=labels, proba=proba, slice={HOSTILE[0]: parts}, permutations=0)


def _models_of_three_classes():
    r = np.random.default_rng(4)
    p = r.dirichlet(np.ones(3), 500)
    return compare(labels=p.argmax(axis=1), proba={"a": p, "b": np.full((500, 3), 1 / 3)}, permutations=0)
