"""The columns of a source by what they hold."""

from dataclasses import dataclass

from crossentropy.evaluation._language.texts import COUNTS

__all__ = ["Names"]


@dataclass(frozen=True)
class Names:
    """Names of columns, or paths in objects; None where there is none."""

    log_probs: str | None = None
    tokens: str | None = None
    text: str | None = None
    bytes: str | None = None
    characters: str | None = None
    words: str | None = None
    document: str | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not isinstance(value, str):
                raise TypeError(
                    f"{name} has type {type(value).__name__}; with a source it is the name of a column"
                )

    def counts(self) -> dict[str, str | None]:
        """Return the columns of counts."""
        return {name: getattr(self, name) for name in COUNTS}

    def used(self) -> list[str]:
        """Return all names, each once, in the order of the alphabet."""
        return sorted({name for name in vars(self).values() if name is not None})
