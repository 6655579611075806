"""What each option of the softmax loss costs beside the plain loss at 64 rows of ten classes: calls, and time.

python benchmarks/calls.py

Calls are Python functions of this package that are entered, forward and backward; time is in units of the plain loss,
turn by turn in one process.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

import crossentropy
from crossentropy import softmax_cross_entropy
from crossentropy.links import Focal
from crossentropy.targets import LabelSet, Sparse
from measure import Sides, interleaved

ROWS, CLASSES = 64, 10
PACKAGE = str(Path(crossentropy.__file__).parent)


def counted(function: Callable[[], Any]) -> tuple[Any, int]:
    """What `function` returns, and how many functions of this package it entered."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(count)
    try:
        value = function()
    finally:
        sys.setprofile(None)
    return value, calls


def options(generator: torch.Generator) -> dict[str, dict[str, Any]]:
    """Each option of the loss alone, and all that can stand together, by what they are called in the table."""
    of_classes = torch.rand(CLASSES, generator=generator)
    of_rows = torch.rand(ROWS, generator=generator) + 0.5
    several = Sparse(
        torch.randint(CLASSES, (ROWS, 3), generator=generator), torch.rand(ROWS, 3, generator=generator)
    )
    everything = {
        "label_smoothing": 0.1,
        "smoothing_prior": of_classes / of_classes.sum(),
        "class_weight": of_classes,
        "sample_weight": of_rows,
        "ignore_index": 3,
        "temperature": of_rows,
        "softcap": 30.0,
        "logit_bias": of_classes,
        "margin": of_classes,
        "z_loss": 1e-4,
        "entropy_bonus": 0.01,
        "normalizer": of_rows,
    }
    alone = {name: {name: value} for name, value in everything.items() if name != "smoothing_prior"}
    return {
        "plain": {},
        **alone,
        "a temperature for all": {"temperature": 2.0},
        "a margin for all": {"margin": 0.3},
        "reduction none": {"reduction": "none"},
        "reduction sum": {"reduction": "sum"},
        "normalizer count": {"normalizer": "count"},
        "a normalizer for all": {"normalizer": 5.0},
        "unchecked labels": {"validate": "none"},
        "focal": {"link": Focal(2.0)},
        "three labels": {"labels": several},
        "a set of labels": {"labels": LabelSet(torch.arange(CLASSES).expand(ROWS, CLASSES) % 2 == 0)},
        "everything": {"labels": several, **everything},
    }


def forward(logits: torch.Tensor, labels: Any, given: dict[str, Any]) -> torch.Tensor:
    """The loss with some options, among which the labels may be."""
    given = dict(given)
    return softmax_cross_entropy(logits, given.pop("labels", labels), **given)


def main() -> None:
    """Count, time and print."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, CLASSES, generator=generator, requires_grad=True)
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)

    def step(given: dict[str, Any]) -> None:
        value = forward(logits, labels, given)
        value.backward(torch.ones_like(value))

    print(f"{'options':24}{'forward':>8}{'backward':>10}{'time, of plain':>16}")
    for name, given in options(generator).items():
        step(given)
        value, there = counted(lambda given=given: forward(logits, labels, given))
        upstream = torch.ones_like(value)
        _, back = counted(lambda value=value, upstream=upstream: value.backward(upstream))
        sides = Sides(lambda given=given: step(given), lambda: step({}), lambda: None)
        times = interleaved(sides, 0.5, 5)
        print(f"{name:24}{there:8}{back:10}{1 / median(times.ratios):16.2f}")


if __name__ == "__main__":
    main()
