"""The keywords of a loss, including those that it passes on by ``**options``."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, get_args

__all__ = ["passed_on", "takes"]


def passed_on(loss: Callable[..., Any]) -> tuple[str, ...]:
    """List the keywords in the TypedDict of a loss's ``**options``.

    >>> from crossentropy.losses import focal_loss
    >>> "gamma" in passed_on(focal_loss), "temperature" in passed_on(focal_loss)
    (False, True)
    """
    for parameter in signature(loss).parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD and get_args(parameter.annotation):
            return tuple(get_args(parameter.annotation)[0].__annotations__)
    return ()


def takes(loss: Callable[..., Any], keyword: str) -> bool:
    """Tell whether a loss has this keyword, its own or one that it passes on.

    >>> from crossentropy.losses import focal_loss, hinge_loss
    >>> takes(focal_loss, "temperature"), takes(hinge_loss, "temperature")
    (True, False)
    """
    parameter = signature(loss).parameters.get(keyword)
    return keyword in passed_on(loss) or (parameter is not None and parameter.kind is Parameter.KEYWORD_ONLY)
