"""Write files atomically: none is ever incomplete."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from crossentropy.training.errors import InputError


def check_writable(out: Path) -> None:
    """Raise InputError, before any work is done, if a folder could not be written.

    Raises
    ------
    InputError
    """
    nearest = next(folder for folder in [out, *out.absolute().parents] if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write to {out}: {nearest} is not a folder that can be written to.")


def write_together(writers: Mapping[str, Callable[[Path], object]], out: Path) -> None:
    """Write files into the folder `out`, each by the writer of its name.

    They are written to a temporary folder beside it and moved once all are complete; earlier files are replaced.

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
