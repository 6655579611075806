"""How much memory the process has taken."""

import re
from pathlib import Path


def peak_memory() -> int | None:
    """Most bytes that were resident at once since the process began; None where the system is not Linux.

    ``resource.getrusage`` would say it elsewhere too, but begins with what the parent process had.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return None if found is None else 1024 * int(found[1])
