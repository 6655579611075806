"""The peak memory of the process."""

import re
from pathlib import Path


def peak_memory() -> int | None:
    """Read the peak resident memory of the process in bytes; None if the system is not Linux.

    ``resource.getrusage`` exists elsewhere too, but starts from the peak of the parent process.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return None if match is None else 1024 * int(match[1])
