"""Advice that an error gives, typed in: what its message says to write is run."""

from __future__ import annotations

import re
from typing import Any

import pytest


def message_of(error: type[Exception], call: str, **names: Any) -> str:
    """What the call, written as its user writes it, is refused with."""
    with pytest.raises(error) as caught:
        eval(call, names)
    return str(caught.value)


def typed(message: str, pattern: str, **names: Any) -> Any:
    """The value of the code that a pattern finds in a message."""
    found = re.search(pattern, message)
    assert found, f"no {pattern} in: {message}"
    return eval(found.group(found.lastindex or 0), names)
