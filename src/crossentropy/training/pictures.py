"""How every picture of a training run looks."""

from contextlib import AbstractContextManager

import matplotlib

TRAIN, VALIDATION, QUIET = "#1b6ca8", "#d1495b", "#666666"


def svg_style() -> AbstractContextManager[None]:
    """Settings under which the same picture is the same bytes."""
    return matplotlib.rc_context({"svg.hashsalt": "crossentropy", "svg.fonttype": "none", "font.size": 10})
