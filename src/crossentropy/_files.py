"""Files that are complete, or as they were."""

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(write: Callable[[Path], object], path: Path) -> None:
    """Write a file under another name, and rename it once it is complete; an earlier file is replaced.

    Raises
    ------
    OSError
        If it cannot be written; then `path` is as it was.
    """
    unfinished = path.with_name(f".unfinished.{os.getpid()}.{path.name}")
    try:
        write(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
