"""States of both kinds, read from bytes."""

from crossentropy.evaluation._container import unpack
from crossentropy.evaluation.language_state import LanguageState
from crossentropy.evaluation.state import State

__all__ = ["merged", "state_of"]


def state_of(data: bytes) -> State | LanguageState:
    """Read what `State.to_bytes` or `LanguageState.to_bytes` has returned.

    Raises
    ------
    ValueError
        If the bytes are something else, of another version, truncated or damaged; the message says which.
    """
    return LanguageState.from_bytes(data) if "language" in unpack(data) else State.from_bytes(data)


def merged(total: State | LanguageState | None, part: State | LanguageState) -> State | LanguageState:
    """Add a state to a sum, which may be none yet, and return the sum.

    Raises
    ------
    ValueError
        If one is of predictions and the other of a language model, or they are declared differently.
    """
    if total is None:
        return part
    if isinstance(total, State) != isinstance(part, State):
        words = {True: "predictions", False: "a language model"}
        raise ValueError(
            f"this is a state of {words[isinstance(part, State)]}, and those before are of "
            f"{words[isinstance(total, State)]}; merge states of one kind"
        )
    total.merge(part)  # type: ignore[arg-type]
    return total
