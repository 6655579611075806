"""Warnings at the line that called this package, of calls that succeed and may not be what was meant."""

import sys
import warnings
from os import path
from typing import Any

from crossentropy._backends.modes import is_recorded

PACKAGE = path.dirname(path.dirname(path.realpath(__file__)))


class _DefaultAxis(int):
    """An axis that no caller passed: equal to an integer, and another object than it."""


LAST_AXIS = _DefaultAxis(-1)


def warn_user(message: str) -> None:
    """Warn at the line that called this package, which Python shows once for each line."""
    warnings.warn(message, stacklevel=_level_of_caller())


def warn_of_axis(logits: Any, labels: Any) -> None:
    """Warn where the classes may be on axis 1 as well as on the last: one label a row fits (N, C, …) and (…, C).

    It is asked for logits of three axes and more whose axis is `LAST_AXIS`.
    """
    shape, rows = tuple(logits.shape), tuple(getattr(labels, "shape", ()))
    if rows == shape[:-1] == shape[:1] + shape[2:] and not is_recorded(logits):
        warn_user(
            f"logits of shape {shape} and labels of shape {rows} fit classes on the last axis and on axis 1; the last "
            "is taken. Pass axis=-1 to say so, or axis=1 for logits (N, C, …) as PyTorch has them"
        )


def _level_of_caller() -> int:
    """Count the frames of this package on top of the stack."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
