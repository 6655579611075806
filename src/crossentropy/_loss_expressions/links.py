"""Links by name: ``Focal(gamma=2)``."""

import ast
import dataclasses
from typing import Any

from crossentropy import links

__all__ = ["parse_link"]

#: Those that need no function.
NAMES = tuple(name for name in links.__all__ if name not in ("Custom", "Link"))


def parse_link(expression: str) -> Any:
    """Return the link that an expression names: a name, or a call of it with keyword numbers.

    Raises
    ------
    ValueError
        If the expression cannot be read, or there is no such link, or its settings are out of range.

    Examples
    --------
    >>> parse_link("Focal(gamma=2)")
    Focal(gamma=2)
    """
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        settings = {}
        if isinstance(node, ast.Call) and not node.args:
            settings = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            node = node.func
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        node = None
    if not isinstance(node, ast.Name):
        raise ValueError(
            f"the link {expression!r} cannot be read; write a name with numbers, as Focal(gamma=2)"
        )
    if node.id not in NAMES:
        raise ValueError(f"there is no link {node.id!r}; there are {', '.join(NAMES)}")
    link = getattr(links, node.id)
    known = [field.name for field in dataclasses.fields(link)]
    for name, value in settings.items():
        if not isinstance(value, (int, float)):
            raise ValueError(f"{name} of the link {node.id} is {value!r}; pass a number")
        if name not in known:
            raise ValueError(
                f"the link {node.id} has no {name!r}; "
                + (f"it has {', '.join(known)}" if known else "it takes no numbers")
            )
    try:
        return link(**settings)
    except TypeError as error:
        raise ValueError(f"the link {expression!r} is not possible: {error}") from None
