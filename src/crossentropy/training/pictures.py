"""The style of the pictures of a training run."""

from contextlib import AbstractContextManager

import matplotlib

TRAIN, VALIDATION, QUIET = "#1b6ca8", "#d1495b", "#666666"


def svg_style() -> AbstractContextManager[None]:
    """Return matplotlib settings under which the same picture has the same bytes."""
    return matplotlib.rc_context({"svg.hashsalt": "crossentropy", "svg.fonttype": "none", "font.size": 10})
