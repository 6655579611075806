"""The one exception for requests that cannot be served, with the reason for the user."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user; its message is shown to the user unchanged."""


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Write values as ``'a', 'b', 'c'`` for a message, cut short after `limit`."""
    items = [repr(value) for value in values]
    more = [f"… ({len(items)} in all)"] if len(items) > limit else []
    return ", ".join(items[:limit] + more)
