"""Time in one process, turn by turn; peak memory in a process of its own."""

import ctypes
import gc
import math
import mmap
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

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
        """How many times as fast, by neighbouring measurements, which share what the machine was doing."""
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


def interleaved(sides: Sides, budget: float, least: int) -> Times:
    """Time both turn by turn, for `budget` seconds and at least `least` turns.

    A short step is repeated within a measurement. What the last step leaves behind is dropped off the clock.
    """
    steps = (sides.peer, sides.ours)
    repeats = []
    for step in steps:
        for _ in range(WARM_UP if (seconds := timed(step, 1)) < 0.1 else 0):
            seconds = timed(step, 1)
        repeats.append(max(1, math.ceil(BLOCK / seconds)))
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


def timed(step: Step, n: int) -> float:
    """Seconds a call, over n of them."""
    start = perf_counter()
    for _ in range(n):
        step()
    return (perf_counter() - start) / n


def check_agreement(sides: Sides, tolerance: float) -> None:
    """Raise unless both come to the same loss."""
    a, b = float(sides.ours()), float(sides.peer())
    sides.clear()
    if not math.isclose(a, b, rel_tol=tolerance):
        raise AssertionError(f"ours is {a}, the peer's {b}: there is nothing to compare")


# ---- memory ------------------------------------------------------------------------------------------------


class Peaks(NamedTuple):
    """Most bytes in use at once beyond those before the step."""

    ours: int
    peer: int


def peak_memory(build: Callable[[str], Sides], name: str) -> Peaks | None:
    """What one step of each side takes, in a fresh process that builds both; None where it cannot be seen.

    The kernel's high-water mark of resident memory is reset (5 to /proc/self/clear_refs) before the step and read
    (VmHWM) behind it. Each step runs once before, so that code, threads and scratch space are there; what the
    allocator kept of that is given back first. Large pages count whole.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peaks, torch.get_num_threads(), build, name).result()


def _peaks(threads: int, build: Callable[[str], Sides], name: str) -> Peaks:
    torch.set_num_threads(threads)
    sides = build(name)
    return Peaks(_peak(sides.ours, sides.clear), _peak(sides.peer, sides.clear))


def _peak(step: Step, clear: Callable[[], None]) -> int:
    step()
    clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    step()
    peak = _resident("VmHWM") - before
    clear()
    return peak


def _resident(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


# ---- the machine's limit -----------------------------------------------------------------------------------


class Bandwidth(NamedTuple):
    """Bytes a second."""

    read: float
    copy: float  # read and written, into memory in use
    fresh: float  # read and written, into new memory of large pages

    def seconds(self, nbytes: int, passes: float, trains: bool) -> float:
        """The least time to read the bytes `passes` times, the last of them while writing a gradient."""
        if not trains:
            return passes * nbytes / self.read
        return (passes - 2) * nbytes / self.read + 2 * nbytes / self.copy


def bandwidth(nbytes: int = 1 << 29, tries: int = 7) -> Bandwidth:
    """The best of several tries, with torch's threads."""
    source = torch.empty(nbytes // 4).normal_()
    target = torch.zeros_like(source)

    def into_fresh() -> float:
        memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        fresh = torch.frombuffer(memory, dtype=torch.float32)
        return timed(lambda: fresh.copy_(source), 1)

    read = min(min(timed(source.amax, 1), timed(source.sum, 1)) for _ in range(tries))
    copy = min(timed(lambda: target.copy_(source), 1) for _ in range(tries))
    fresh = min(into_fresh() for _ in range(tries))
    return Bandwidth(nbytes / read, 2 * nbytes / copy, 2 * nbytes / fresh)
