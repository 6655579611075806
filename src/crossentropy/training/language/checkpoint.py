"""The state of a run on disk, from which it resumes with the same parameters, optimizer and batches."""

import dataclasses
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossentropy.training.errors import InputError
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.state_file import read_state, write_state

#: Raised when a state has other contents.
FORMAT = 2


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a state atomically: if the process or machine dies, `path` holds either the earlier state or the new one.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(state | {"format": FORMAT}, unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a state; None if there is no file.

    Raises
    ------
    InputError
        If the file is not a checkpoint, or one of an earlier release.
    """
    if not path.exists():
        return None
    state = read_state(path)
    if state is None or "run" not in state or state.get("format") != FORMAT:
        raise InputError(
            f"{path} is no checkpoint of this command: remove it to begin anew, or choose another --out."
        )
    return state


def describe_run(options: LanguageOptions, digest: str) -> dict[str, Any]:
    """Describe what must be the same when a run resumes: the options, and the texts' contents but not their paths."""
    run = dataclasses.asdict(options) | {"digest": digest}
    del run["files"]
    return run


def check_same_run(state: dict[str, Any], options: LanguageOptions, digest: str, path: Path) -> None:
    """Raise InputError unless options and texts are those of the checkpoint.

    Raises
    ------
    InputError
        With the options that differ.
    """
    now = describe_run(options, digest)
    differences = [
        "other text" if name == "digest" else f"--{name.replace('_', '-')} {before}, not {now[name]}"
        for name, before in state["run"].items()
        if before != now[name]
    ]
    if differences:
        raise InputError(
            f"{path} is of a run with {'; '.join(differences)}: to go on with it, pass what it began with; to start a "
            "new run, choose another --out, or remove that file."
        )
