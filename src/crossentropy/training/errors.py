"""The one exception that says: what was asked for cannot be done, and why."""

from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user; its message is what the user is to read, as it stands."""


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Write values as ``'a', 'b', 'c'`` for a message, cut short after `limit`."""
    items = [repr(value) for value in values]
    more = [f"… ({len(items)} in all)"] if len(items) > limit else []
    return ", ".join(items[:limit] + more)
