"""How many bytes, characters and words texts have."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["counted"]

Array = np.ndarray[Any, Any]


def counted(texts: Sequence[str | None], *, words: bool) -> dict[str, Array | None]:
    """Count bytes of UTF-8, Unicode characters and, if asked, words between white space; NaN for None.

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
