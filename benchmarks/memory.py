"""How the allocator treats a step, and the most memory that a step has in use."""

import ctypes
import gc
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from crossentropy._kernels import _native
from measure import Sides, Step

Result = TypeVar("Result")

KEPT_AT_MOST = 32 << 20  # bytes from which on glibc gives back whatever is freed

# Of glibc's mallopt.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3


def is_adjustable() -> bool:
    """Whether the allocator is glibc's."""
    return hasattr(ctypes.CDLL(None), "mallopt")


def give_memory_back(freed: bool) -> None:
    """Whether blocks of 128 KiB to 32 MiB come fresh from the system and go back when freed, or are kept.

    By default glibc does either, according to what was freed before: the same step takes one time or another three
    times as long. What was once kept goes on being used.
    """
    if not is_adjustable():
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(MMAP_THRESHOLD, 128 << 10 if freed else KEPT_AT_MOST)
    mallopt(TRIM_THRESHOLD, 128 << 10 if freed else 1 << 30)


class Peaks(NamedTuple):
    """Most bytes in use at once beyond those before a step."""

    ours: int
    peer: int


def is_measurable() -> bool:
    """Whether the kernel counts the most memory in use, and from when we like."""
    return Path("/proc/self/clear_refs").exists()


def peaks(build: Callable[[str], Sides], name: str) -> Peaks | None:
    """What one step of each side takes, in a fresh process that builds both; None where it cannot be seen."""
    return in_fresh_process(_both_peaks, build, name) if is_measurable() else None


def in_fresh_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """What `function` gives in a process with as many threads as here, where freed memory goes back to the system."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    with ProcessPoolExecutor(1, context, _start, (torch.get_num_threads(),)) as pool:
        return pool.submit(function, *arguments).result()


def _start(threads: int) -> None:
    give_memory_back(True)
    torch.set_num_threads(threads)


def _both_peaks(build: Callable[[str], Sides], name: str) -> Peaks:
    sides = build(name)
    return Peaks(peak(sides.ours, sides.clear), peak(sides.peer, sides.clear))


def peak(step: Step, clear: Callable[[], None]) -> int:
    """Most bytes in use during a step, beyond those before it.

    The kernel's high-water mark of resident memory is reset (5 to /proc/self/clear_refs) before the step and read
    (VmHWM) behind it. The step runs once before, so that code, threads and scratch space are there; the memory that we
    keep for the next step is given back in between, so that it counts. Large pages count whole.
    """
    step()
    clear()
    gc.collect()
    _native.release_kept_memory()
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    step()
    most = _resident("VmHWM") - before
    clear()
    return most


def _resident(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
