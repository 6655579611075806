"""Two ways to do one piece of work, timed turn by turn in one process."""

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch

Step = Callable[[], Any]


@dataclass(frozen=True)
class Sides:
    """One piece of work in both hands. `clear` drops what a step leaves behind, as an optimizer does."""

    ours: Step
    peer: Step
    clear: Callable[[], None]


BLOCK = 2e-3  # seconds a single measurement lasts at least
WARM_UP = 3


@dataclass(frozen=True)
class Times:
    """Seconds a step, of the peer and of ours in turn."""

    peer: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast, by neighboring measurements, which share what the machine was doing."""
        return [p / o for p, o in zip(self.peer, self.ours, strict=True)]

    @property
    def speedup(self) -> float:
        """Their median."""
        return median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of them lie between these."""
        low, _, high = quantiles(self.ratios, n=4, method="inclusive")
        return low, high


def interleaved(sides: Sides, budget: float, least: int, warm: bool = False) -> Times:
    """Time both turn by turn, for `budget` seconds and at least `least` turns.

    A short step is repeated within a measurement; steps that are `warm` are long ones and have run before. What the
    last step leaves behind is dropped off the clock.
    """
    steps = (sides.peer, sides.ours)
    repeats = []
    for step in steps:
        repeats.append(1 if warm else _repeats(step))
        sides.clear()
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        start = perf_counter()
        while len(times[1]) < least or perf_counter() - start < budget:
            for step, n, found in zip(steps, repeats, times, strict=True):
                found.append(timed(step, n))
                sides.clear()
    finally:
        gc.enable()
    return Times(*times)


def _repeats(step: Step) -> int:
    """How often a step is done for one measurement, found while it warms up."""
    for _ in range(WARM_UP if (seconds := timed(step, 1)) < 0.1 else 0):
        seconds = timed(step, 1)
    return max(1, math.ceil(BLOCK / seconds))


def timed(step: Step, n: int) -> float:
    """Seconds a call, over n of them."""
    start = perf_counter()
    for _ in range(n):
        step()
    return (perf_counter() - start) / n


def check_agreement(sides: Sides, tolerance: float) -> None:
    """Raise unless both come to the same loss."""
    a, b = (torch.as_tensor(step()).item() for step in (sides.ours, sides.peer))
    sides.clear()
    if not math.isclose(a, b, rel_tol=tolerance):
        raise AssertionError(f"ours is {a}, the peer's {b}: there is nothing to compare")
