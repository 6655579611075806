"""Catalogue cases as functions of tensors alone, at any number of rows, and the programs PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import crossentropy as ce
import crossentropy.torch as ct
from losses.catalogue.case import CLASSES, LABELS, ROWS, SOFT, Case, logits


class Loss(torch.nn.Module):
    """One case: its arrays are the arguments of `forward`, by position; what is no array is fixed."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case, self.function = case, case.function(ce.losses)
        values = {**case.inputs, **case.parameters, **case.given}
        self.arrays = {name: x for name, x in values.items() if isinstance(x, np.ndarray)}
        self.fixed = {name: x for name, x in values.items() if name not in self.arrays}
        self.rows = next(iter(case.inputs.values())).shape[0]

    def has_rows(self, name: str) -> bool:
        """Whether the first axis of an argument counts the rows of the batch."""
        return self.arrays[name].shape[:1] == (self.rows,)

    def arguments(self, rows: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
        """A batch of so many rows: those of the case, over and over, no two of floating numbers alike."""
        return tuple(self._argument(name, rows, dtype) for name in self.arrays)

    def _argument(self, name: str, rows: int, dtype: torch.dtype) -> torch.Tensor:
        x = self.arrays[name]
        if self.has_rows(name):
            x = x[np.arange(rows) % self.rows]
        x = torch.from_numpy(np.array(x))
        return x.to(dtype) if x.is_floating_point() else x

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        given = dict(zip(self.arrays, arguments, strict=True))
        inputs = [given.pop(name) for name in self.case.inputs]
        return self.function(*inputs, **given, **self.fixed)

    def learning(self, arguments: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """The arguments that have a gradient."""
        named = dict(zip(self.arrays, arguments, strict=True))
        return [named[name] for name in self.case.differentiable if named[name].is_floating_point()]


@dataclass(frozen=True)
class Other(Case):
    """A function that is no member of `crossentropy.losses`; `loss` is what it is called here."""

    call: Callable[..., Any] = ce.entropy

    def function(self, losses: Any) -> Callable[..., Any]:
        return self.call


def _positive(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.abs(logits(seed, shape)) + 0.5


def _no_truth(**_: Any) -> Any:
    raise NotImplementedError("these are compared with what they are without a program")


HIDDEN = {"hidden": logits(40, (ROWS, 3)), "weight": logits(41, (CLASSES, 3))}
Z = {"logits": logits()}
OTHERS = [
    Other(name, inputs, _no_truth, given, call=call)
    for name, call, inputs, given in (
        ("linear", ce.linear_cross_entropy, HIDDEN, {"labels": LABELS}),
        (
            "linear with options",
            ce.linear_cross_entropy,
            HIDDEN | {"labels": LABELS},
            {
                "bias": logits(42, (CLASSES,)),
                "class_weight": _positive(43, (CLASSES,)),
                "sample_weight": _positive(44, (ROWS,)),
                "label_smoothing": 0.1,
                "z_loss": 0.01,
                "temperature": 1.5,
            },
        ),
        (
            "linear of sequences",
            ce.linear_cross_entropy,
            {"hidden": logits(45, (2, 3, 3)), "weight": logits(41, (CLASSES, 3))},
            {"labels": LABELS[:3] + np.zeros((2, 1), dtype=np.int64), "shift": 1, "ignore_index": 0},
        ),
        ("linear focal", ce.linear_cross_entropy, HIDDEN, {"labels": SOFT, "link": ce.links.Focal(2.0)}),
        ("entropy", ce.entropy, {"p": SOFT}, {"base": 2}),
        ("cross_entropy", ce.cross_entropy, {"p": SOFT, "q": SOFT[::-1].copy()}, {}),
        ("kl_divergence", ce.kl_divergence, {"p": SOFT, "q": SOFT[::-1].copy()}, {}),
        ("js_divergence", ce.js_divergence, {"p": SOFT, "q": SOFT[::-1].copy()}, {}),
        ("perplexity", ce.perplexity, {"p": SOFT}, {}),
        ("statistics", lambda z, y: ce.target_statistics(z, y).log_prob, Z | {"labels": LABELS}, {}),
        ("torch cross_entropy", ct.cross_entropy, Z | {"target": LABELS}, {"ignore_index": 0}),
        (
            "torch cross_entropy with options",
            ct.cross_entropy,
            Z | {"target": LABELS},
            {"weight": _positive(43, (CLASSES,)), "label_smoothing": 0.2, "reduction": "sum"},
        ),
        ("torch nll_loss", ct.nll_loss, {"log_p": np.log(SOFT), "target": LABELS}, {}),
        ("torch binary_cross_entropy", ct.binary_cross_entropy, {"p": SOFT, "target": SOFT[::-1].copy()}, {}),
        (
            "torch binary_cross_entropy_with_logits",
            ct.binary_cross_entropy_with_logits,
            Z | {"target": SOFT},
            {"pos_weight": _positive(43, (CLASSES,))},
        ),
    )
]
