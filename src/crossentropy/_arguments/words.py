"""Words for messages: lists of values, and the name that was probably meant."""

from collections.abc import Iterable

__all__ = ["listed", "similar"]


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
    from difflib import get_close_matches  # imported where a call fails

    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
