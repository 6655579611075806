"""Drawn softmax problems: logits, a target of any form, and any composition of options, with their truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import crossentropy as ce
import oracle

FORMS = ("indices", "OneHot", "Probabilities", "unnormalized", "Sparse", "LabelSet")
DENSE = ("Probabilities", "unnormalized")


@dataclass(frozen=True)
class Problem:
    """Logits (rows, classes), a target of some form, and options written in NumPy."""

    logits: np.ndarray
    form: str
    arrays: tuple[np.ndarray, ...]
    options: dict[str, Any]
    gamma: float | None

    def labels(self, fw: Any) -> Any:
        if self.form == "unnormalized":
            return fw.target("Probabilities", *self.arrays, normalized=False)
        return fw.target(self.form, *self.arrays)

    def targets(self) -> list[oracle.Target]:
        classes = self.logits.shape[1]
        if self.form == "indices":
            return oracle.index_targets(self.arrays[0], classes, self.options.get("ignore_index"))
        if self.form == "OneHot":
            return oracle.index_targets(self.arrays[0].argmax(axis=1), classes)
        if self.form == "Sparse":
            return oracle.sparse_targets(*self.arrays, classes)
        return (
            oracle.set_targets(self.arrays[0])
            if self.form == "LabelSet"
            else oracle.dense_targets(self.arrays[0])
        )

    def truth(self, **changes: Any) -> oracle.Solution:
        options = {k: v for k, v in (self.options | changes).items() if k != "ignore_index"}
        link = None if self.gamma is None else oracle.Focal(self.gamma)
        return oracle.solve(self.logits, self.targets(), link=link, **options)

    def keywords(self) -> dict[str, Any]:
        link = None if self.gamma is None else ce.links.Focal(gamma=self.gamma)
        return self.options | ({} if link is None else {"link": link})

    def __repr__(self) -> str:
        return f"{self.form} {self.arrays} of {self.logits!r} with {self.keywords()}"


def draw_target(form: str, rows: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    labels = rng.integers(0, classes, size=rows)
    if form == "indices":
        return (labels,)
    if form == "OneHot":
        return (np.eye(classes, dtype=np.int64)[labels],)
    if form == "Sparse":
        k = int(rng.integers(1, 4))
        return rng.integers(0, classes, size=(rows, k)), rng.dirichlet(np.ones(k), size=rows)
    if form == "LabelSet":
        mask = rng.random((rows, classes)) < 0.4
        mask[np.arange(rows), labels] = True
        return (mask,)
    masses = rng.dirichlet(np.ones(classes), size=rows)
    masses[rng.random(masses.shape) < 0.2] = 0.0
    masses[np.arange(rows), labels] += 1 - masses.sum(axis=1)
    return (masses,) if form == "Probabilities" else (masses * rng.uniform(0.2, 3.0, size=(rows, 1)),)


@st.composite
def problems(draw: st.DrawFn, shape: tuple[int, int] | None = None, **fixed: Any) -> Problem:
    """A small problem, of `shape` if it is given; `fixed` options are not drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    form = draw(st.sampled_from(FORMS))
    rows, classes = shape or (draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0, 25.0]))
    arrays = draw_target(form, rows, classes, rng)
    is_set = form == "LabelSet"

    def chosen(*values: Any) -> Any:
        return draw(st.sampled_from(values))

    numbers = lambda size, low, high: rng.uniform(low, high, size=size)  # noqa: E731
    options = {
        "temperature": chosen(1.0, 1.0, 0.7, 3.0, numbers(rows, 0.5, 2.0)),
        "softcap": chosen(None, None, 5.0, 30.0),
        "logit_bias": chosen(None, None, numbers(classes, -3, 3)),
        "margin": None if form in DENSE else chosen(None, None, 0.35, numbers(classes, 0, 2)),
        "label_smoothing": 0.0 if is_set else chosen(0.0, 0.0, 0.1, 1.0),
        "smoothing_prior": None if is_set else chosen(None, rng.dirichlet(np.ones(classes))),
        "class_weight": None if is_set else chosen(None, None, numbers(classes, 0.3, 3)),
        "sample_weight": chosen(None, None, numbers(rows, 0.2, 2) * (rng.random(rows) < 0.7)),
        "z_loss": chosen(0.0, 0.0, 0.01),
        "entropy_bonus": chosen(0.0, 0.0, 0.1, -0.1),
        "reduction": chosen("mean", "mean", "sum", "none"),
    }
    if options["reduction"] == "mean":
        options["normalizer"] = chosen("weight", "weight", "count", 7.0, numbers(rows, 1, 9))
        options["empty"] = chosen("zero", "nan", "raise")
    if form == "indices":
        options["ignore_index"] = chosen(None, 0, classes - 1, -100, 255)
        if options["ignore_index"] is not None:
            arrays[0][rng.random(rows) < 0.3] = options["ignore_index"]
    if options["label_smoothing"] == 0.0:
        options["smoothing_prior"] = None
    by_weight = isinstance(options.get("normalizer"), str) and options["normalizer"] == "weight"
    if options["sample_weight"] is not None and not by_weight:
        options["sample_weight"] *= chosen(1.0, -1.0)
    gamma = chosen(None, None, 2.0, 0.5, 1.0, 0.0)
    return Problem(rng.normal(size=(rows, classes)) * scale, form, arrays, options | fixed, gamma)
