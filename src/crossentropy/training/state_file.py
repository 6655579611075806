"""Write plain values and tensors to a file."""

import os
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
