"""The machine a table was made on: what it is, without its name, and what it can do at most."""

import mmap
import os
import platform
import re
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import process_time, sleep
from typing import NamedTuple

import torch

from measure import timed

PACKAGES = ("torch", "numpy", "scikit-learn", "jax", "optax", "crossentropy")
MODULES = {"scikit-learn": "sklearn"}


def description() -> dict[str, str]:
    """What a reader needs in order to compare."""
    return {
        "processor": _processor(),
        "cores": f"{_cores()}, {torch.get_num_threads()} threads used",
        "memory": _memory(),
        "large pages": _read("/sys/kernel/mm/transparent_hugepage/enabled") or "unknown",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {version(name)}" for name in PACKAGES if find_spec(MODULES.get(name, name))]
        ),
        "date": date.today().isoformat(),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    fields = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE))
    if "model name" not in fields:
        return platform.processor() or "unknown"
    vectors = next(
        (name for name in ("avx512f", "avx2") if name in fields.get("flags", "").split()), "no avx2"
    )
    return (
        f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']}, "
        f"{vectors}, {fields['cache size']} L2)"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    kib = re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo"))
    return f"{int(kib[1]) / 2**20:.0f} GiB" if kib else "unknown"


class Others:
    """What share of the cores other processes, and other guests of the host, use from here on."""

    def __init__(self) -> None:
        self._start = self._clocks()

    def share(self) -> float:
        """From 0 to 1; 0 where the system does not say."""
        busy, idle = (now - then for now, then in zip(self._clocks(), self._start, strict=True))
        return max(0.0, busy / (busy + idle)) if busy + idle > 0 else 0.0

    @staticmethod
    def _clocks() -> tuple[float, float]:
        """Seconds of all cores that others used, and that were idle or ours."""
        counts = _read("/proc/stat").split()[1:9]
        if not counts:
            return 0.0, 0.0
        user, nice, system, idle, wait, *rest = (int(x) / os.sysconf("SC_CLK_TCK") for x in counts)
        own = process_time()
        return user + nice + system + sum(rest) - own, idle + wait + own


def wait_for_rest(share: float, seconds: int = 3) -> None:
    """Return when others have used less than `share` of the cores for so many seconds in a row."""
    calm = 0
    while calm < seconds:
        others = Others()
        sleep(1)
        calm = calm + 1 if others.share() < share else 0


class Bandwidth(NamedTuple):
    """Bytes a second."""

    read: float
    copy: float  # read and written, into memory in use
    fresh: float  # read and written, into new memory of large pages

    def best(self, other: "Bandwidth") -> "Bandwidth":
        """The better of two measurements: on a shared host they differ."""
        return Bandwidth(*map(max, self, other))

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
