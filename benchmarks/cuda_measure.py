"""Work on a GPU, timed by its own clock, and the memory it takes there."""

import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from time import perf_counter

import torch

from measure import Step

DEVICE = "cuda"
TURNS = 9
WARM_UP = 2
LEAST = 5.0  # milliseconds that one measurement lasts at least
CALLS = 1000  # of a step that is as short as its launches


def description() -> dict[str, str]:
    """What a reader needs in order to compare."""
    packages = ("torch", "triton", "crossentropy", "liger_kernel", "cut_cross_entropy")
    found = [f"{name} {number}" for name in packages if (number := _version(name))]
    return {
        "device": f"{torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB",
        "driver": _driver(),
        "versions": ", ".join([f"Python {platform.python_version()}", f"CUDA {torch.version.cuda}", *found]),
        "date": date.today().isoformat(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[0]


def times(steps: Mapping[str, Step]) -> dict[str, float | None]:
    """Seconds a step: medians of turns that go round the ways; None for one that the memory is too small for."""
    fitting = {way: n for way, step in steps.items() if (n := _repeats(step))}
    found: dict[str, list[float]] = {way: [] for way in fitting}
    for _ in range(TURNS):
        for way, n in fitting.items():
            found[way].append(_milliseconds(steps[way], n) / 1e3)
    return {way: median(found[way]) if way in found else None for way in steps}


def _repeats(step: Step) -> int:
    """How often a step is done for one measurement, found while it warms up; 0 if it does not fit."""
    try:
        for _ in range(WARM_UP):
            step()
        return max(1, round(LEAST / max(_milliseconds(step, 1), 1e-3)))
    except torch.OutOfMemoryError:
        return 0
    finally:
        torch.cuda.empty_cache()


def _milliseconds(step: Step, n: int) -> float:
    """A call, over n of them that follow one another without waiting."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(n):
        step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / n


def launch_prices(steps: Mapping[str, Step]) -> dict[str, float]:
    """Seconds of the host's time a step, in turns."""
    found: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(WARM_UP + TURNS):
        for way, step in steps.items():
            torch.cuda.synchronize()
            start = perf_counter()
            for _ in range(CALLS):
                step()
            torch.cuda.synchronize()
            found[way].append((perf_counter() - start) / CALLS)
    return {way: median(seconds[WARM_UP:]) for way, seconds in found.items()}


def peak(step: Step) -> int:
    """Bytes in use at once during a step, beyond those before it."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    return torch.cuda.max_memory_allocated() - before
