"""Weights of classes by name."""

import math
import re
from typing import TYPE_CHECKING

from crossentropy._arguments.words import listed
from crossentropy.training.errors import InputError

if TYPE_CHECKING:  # that module takes a while to import
    from crossentropy.training.labels import Class

BALANCED = "balanced"
_WEIGHT = re.compile(r"(?P<name>.+?)=(?P<weight>[^=,]+)(?:,|$)")


def parse_class_weight(text: str) -> str | dict[str, float]:
    """Read ``"balanced"``, or classes with their weights such as ``"yes=60,no=1"``.

    A comma ends a weight, so the name of a class may hold commas.

    Examples
    --------
    >>> parse_class_weight("yes, surely=60,no=1")
    {'yes, surely': 60.0, 'no': 1.0}

    Raises
    ------
    InputError
        If it cannot be read, or a weight is not positive.
    """
    if text == BALANCED:
        return BALANCED
    weights: dict[str, float] = {}
    end = 0
    for match in _WEIGHT.finditer(text):
        try:
            weight = float(match["weight"]) if match.start() == end else math.nan
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise _unreadable(text)
        weights[match["name"].strip()] = weight
        end = match.end()
    if not weights or end < len(text):
        raise _unreadable(text)
    return weights


def of_classes(text: str | None, classes: "list[Class]") -> "str | dict[Class, float] | None":
    """Read weights of classes (see `parse_class_weight`) into those of `classes`; a class without one has weight 1.

    Raises
    ------
    InputError
        If there is no class of a name.
    """
    weights = None if text is None else parse_class_weight(text)
    if not isinstance(weights, dict):
        return weights
    by_name = {str(value): value for value in classes}
    unknown = [name for name in weights if name not in by_name]
    if unknown:
        raise InputError(
            f"--class-weight: there is no class {listed(unknown)}; the classes are {listed(by_name)}."
        )
    return {by_name[name]: weight for name, weight in weights.items()}


def _unreadable(text: str) -> InputError:
    """Build the error for weights that cannot be read."""
    return InputError(
        f"--class-weight takes {BALANCED}, or classes with positive numbers such as yes=60,no=1, and not {text!r}."
    )
