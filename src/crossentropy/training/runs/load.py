"""Read the model of a finished run; nothing in its files is executed."""

from pathlib import Path
from typing import Any

from crossentropy.training.errors import InputError
from crossentropy.training.output import HISTORY, MODEL, check_run
from crossentropy.training.runs.model import FORMAT, Model
from crossentropy.training.state_file import read_state


def load_model(run: Path) -> Model:
    """Read the model from the folder of a run.

    Raises
    ------
    InputError
        If there is none, or this version cannot read it.
    """
    check_run(run)
    path = run / MODEL
    state = _read(path)
    written = f"{path} was written by crossentropy {state.get('crossentropy', 'of an unknown version')}"
    if "tokenizer" in state:
        raise InputError(
            f"{run} holds a language model of crossentropy train-lm: pass the folder of a run of crossentropy train."
        )
    format = state.get("format", 1)
    if format != FORMAT:
        what = "train it again with this version" if format == 1 else "use that version or a later one"
        raise InputError(
            f"{written} in format {format}, and this version reads format {FORMAT}: {what}"
            + (f"; its options are in {run / HISTORY}." if format == 1 else ".")
        )
    try:
        return Model.from_state(state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(f"{written}, and is damaged: {error!r}. Train it again.") from error


def _read(path: Path) -> dict[str, Any]:
    """Read plain values and tensors, and refuse all else."""
    state = read_state(path)
    if state is None or not isinstance(state.get("format", 1), int):
        raise InputError(
            f"{path} is no model of crossentropy train: it is damaged, or holds something else than numbers and texts, "
            "which is not loaded."
        )
    return state
