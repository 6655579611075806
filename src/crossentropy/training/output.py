"""Write files so that none is ever there by half."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from crossentropy.training.errors import InputError


def check_writable(out: Path) -> None:
    """Refuse, before any work is done, a folder that could not be written.

    Raises
    ------
    InputError
    """
    nearest = next(folder for folder in [out, *out.absolute().parents] if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write to {out}: {nearest} is not a folder that can be written to.")


def write_together(writers: Mapping[str, Callable[[Path], object]], out: Path) -> None:
    """Let each writer write the file of its name in the folder `out`.

    All are written into a folder beside it first and moved when they are complete; earlier ones are replaced.

    Raises
    ------
    InputError
        If they cannot be written; then `out` is as it was.
    """
    out = out.absolute()
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        for name, write in writers.items():
            write(unfinished / name)
        out.mkdir(exist_ok=True)
        for name in writers:
            os.replace(unfinished / name, out / name)
    except OSError as error:
        raise InputError(f"Cannot write to {out}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
