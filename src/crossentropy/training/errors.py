"""The one exception for requests that cannot be served, with the reason for the user."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user; its message is shown to the user unchanged."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Write values as ``'a', 'b', 'c'`` for a message, cut short after `limit`, and each after 80 characters."""
    items = [text if len(text) <= 80 else text[:79] + "…" for text in map(repr, values)]
    more = [f"… ({len(items)} in all)"] if len(items) > limit else []
    return ", ".join(items[:limit] + more)
