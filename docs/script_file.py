"""``__file__`` for the scripts of the gallery, which find their style beside themselves: Sphinx-Gallery gives none."""

import builtins
from typing import Any


def define_file(gallery: dict[str, Any], script: str) -> None:
    """Let `script` find its own path, as it does when Python runs it. Sphinx-Gallery calls this before each script."""
    builtins.__file__ = script  # type: ignore[attr-defined]
