"""The machine a table was made on, without its name."""

import os
import platform
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch


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
            + [f"{name} {version(name)}" for name in ("torch", "numpy", "scikit-learn", "crossentropy")]
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
