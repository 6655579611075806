"""The limits that a command set for scores."""

from typing import NamedTuple

__all__ = ["Limit"]


class Limit(NamedTuple):
    """A limit, and whether it is kept."""

    #: As it was passed to the command.
    option: str
    kept: bool
    #: What was measured, in words.
    sentence: str
