"""How a result was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

__all__ = ["Provenance", "Source", "versions"]


@dataclass(frozen=True)
class Source:
    """What was read: its name, and of a file its size in bytes and its SHA-256 in hexadecimal digits."""

    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Provenance:
    """How an evaluation was made: sources, versions of packages by name, and the command that repeats it."""

    sources: Sequence[Source] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers and pictures come from."""
    return {name: version(name) for name in ("crossentropy", "numpy", "matplotlib")}
