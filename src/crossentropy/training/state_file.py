"""Plain values and tensors in a file."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Write what `torch.save` writes, and wait until it is on the disk.

    Raises
    ------
    OSError
        If it cannot be written, also on a full disk, of which PyTorch's writer makes a RuntimeError.
    """
    try:
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:
        cause = error.__context__  # what the file raised
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error


def read_state(path: Path) -> dict[str, Any] | None:
    """Read what `write_state` has written; None if the file is damaged or holds anything else, which is not loaded."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True) if zipfile.is_zipfile(path) else None
    except Exception:  # damaged bytes make the reader raise errors of any kind
        return None
    return state if isinstance(state, dict) else None
