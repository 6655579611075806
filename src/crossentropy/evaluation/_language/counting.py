"""How many bytes, characters and words texts have."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["counted", "with_counts"]

Array = np.ndarray[Any, Any]


def counted(texts: Sequence[str | None], *, words: bool) -> dict[str, Array | None]:
    """Count bytes of UTF-8, Unicode characters and words between white space; NaN for None.

    Words are those of whole texts: a row that is one token is no word.

    >>> {name: x.tolist() for name, x in counted(["Größe ist", ""], words=True).items()}
    {'bytes': [11.0, 0.0], 'characters': [9.0, 0.0], 'words': [2.0, 0.0]}
    """

    def each(count: Any) -> Array:
        return np.asarray([np.nan if text is None else count(text) for text in texts], np.float64)

    return {
        "bytes": each(lambda text: len(text.encode("utf-8", "surrogatepass"))),
        "characters": each(len),
        "words": each(lambda text: len(text.split())) if words else None,
    }


def with_counts(
    given: Mapping[str, Array | None], made: Mapping[str, Array | None]
) -> dict[str, Array | None]:
    """Take the counts that are given, and of a text those that are not."""
    return {name: made.get(name) if x is None else x for name, x in given.items()}
