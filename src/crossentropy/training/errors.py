"""The one exception for requests that cannot be served, with the reason for the user."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input from the user; its message is shown to the user unchanged."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Write values as ``'a', 'b', 'c'`` for a message, cut short after `limit`, and each after 80 characters."""
    items = [text if len(text) <= 80 else text[:79] + "…" for text in map(repr, values)]
    more = [f"… ({len(items)} in all)"] if len(items) > limit else []
    return ", ".join(items[:limit] + more)


def similar(name: str, names: Iterable[str]) -> str:
    """Ask, as a further sentence, whether the name that is most like another one was meant; empty if none is.

    >>> similar("Bought", ["age", "bought"])
    " Did you mean 'bought'?"
    """
    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def counted(n: int, what: str) -> str:
    """Write a number with the word for what is counted, in the plural unless it is one.

    >>> counted(1, "cell"), counted(12, "cell")
    ('1 cell', '12 cells')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"
