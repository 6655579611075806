"""Write files atomically: none is ever incomplete."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from crossentropy._files import replace_file
from crossentropy.training.errors import InputError

#: the files of a run
MODEL, HISTORY, PREDICTIONS, CURVES = "model.pt", "history.json", "predictions.parquet", "curves.svg"
EVALUATION = "evaluation.json"
#: how files of predictions end
TABLES = (".parquet", ".csv")


def check_writable(out: Path) -> None:
    """Raise InputError, before any work is done, if a folder could not be written.

    Raises
    ------
    InputError
    """
    nearest = next(folder for folder in [out, *out.absolute().parents] if folder.exists())
    try:
        # permissions alone do not tell it, of root and of file systems that are read only
        with TemporaryDirectory(prefix=".", dir=nearest):
            pass
    except OSError as error:
        raise InputError(
            f"Cannot write to {out}: {nearest} is not a folder that can be written to."
        ) from error


def check_file(path: Path) -> None:
    """Raise InputError, before any work is done, if a file could not be written.

    Raises
    ------
    InputError
    """
    if path.is_dir():
        raise InputError(f"Cannot write to {path}: it is a folder; pass the name of a file.")
    check_writable(path.parent)


def check_no_classifier(out: Path) -> None:
    """Raise InputError if a folder holds a run of ``crossentropy train``, which a language model would replace.

    Raises
    ------
    InputError
    """
    if (out / PREDICTIONS).exists():
        raise InputError(f"{out} holds a run of crossentropy train ({PREDICTIONS}): choose another --out.")


def check_new(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Raise InputError if a folder holds a run that may not be overwritten, or none to go on with.

    Raises
    ------
    InputError
    """
    if overwrite and resume:
        raise InputError("--overwrite replaces a run, and --resume goes on with it: pass one of them.")
    found = [name for name in (MODEL, HISTORY, PREDICTIONS) if (out / name).exists()]
    if resume:
        check_run(out)
    elif found and not overwrite:
        raise InputError(
            f"{out} holds another run ({', '.join(found)}): choose another --out, replace the run by --overwrite, or "
            "go on with it by --resume."
        )


def check_run(run: Path) -> None:
    """Raise InputError unless a folder holds the model of a run.

    Raises
    ------
    InputError
    """
    if not (run / MODEL).is_file():
        what = f"{run} has no file {MODEL}" if run.is_dir() else f"There is no folder {str(run)!r}"
        raise InputError(f"{what}: pass the folder that crossentropy train has written, its --out.")


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Raise InputError unless a file of predictions can be written without loss.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() not in TABLES:
        raise InputError(f"--out is a file that ends in {' or '.join(TABLES)}, and not {path.name!r}.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already: choose another --out, or replace it by --overwrite.")


def write_together(writers: Mapping[str, Callable[[Path], object]], out: Path) -> None:
    """Write files into the folder `out`, each by the writer of its name.

    They are written to a temporary folder in it and moved once all are complete; earlier files are replaced.

    Raises
    ------
    InputError
        If they cannot be written; then `out` is as it was.
    """
    new = not out.exists()
    # not beside `out`, which may be on a disk of its own, or in a folder that cannot be written to
    unfinished = out / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    try:
        unfinished.mkdir(parents=True)
        for name, write in writers.items():
            write(unfinished / name)
        for name in writers:
            os.replace(unfinished / name, out / name)
    except OSError as error:
        raise InputError(f"Cannot write to {out}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if new:
            with suppress(OSError):  # it is not empty if all went well
                out.rmdir()


def write_file(write: Callable[[Path], object], path: Path) -> None:
    """Write a file under another name, and rename it once it is complete; an earlier file is replaced.

    Raises
    ------
    InputError
        If it cannot be written; then `path` is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(write, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
