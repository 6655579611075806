"""Settings of a loss that a search may choose."""

import ast
from typing import NamedTuple

from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES

__all__ = ["RANGES", "Range", "free_settings", "with_settings"]


class Range(NamedTuple):
    """Where a setting is searched: evenly, or evenly in its logarithm."""

    low: float
    high: float
    logarithmic: bool = False


#: keywords of losses; others, such as the weights of regularizers, keep their defaults
RANGES = {
    "active_weight": Range(0.1, 10, True),
    "epsilon": Range(-0.5, 5),
    "forward_weight": Range(0.01, 10, True),
    "gamma": Range(0, 5),
    "label_smoothing": Range(0, 0.3),
    "label_weight": Range(0.6, 1),
    "largest": Range(0.1, 1),
    "margin": Range(0.1, 10, True),
    "passive_weight": Range(0.1, 10, True),
    "q": Range(0.1, 1),
    "reverse_weight": Range(0.01, 10, True),
    "scale": Range(3, 100, True),
    "t": Range(0, 0.9),
    "t1": Range(0.3, 0.95),
    "t2": Range(1.05, 3),
    "tau": Range(2, 50, True),
    "temperature": Range(0.25, 4, True),
}


def free_settings(expression: str) -> dict[str, Range]:
    """Return where to search the settings that a loss expression, one that can be parsed, leaves at their defaults.

    >>> list(free_settings("focal(label_smoothing=0.1)"))
    ['gamma', 'temperature']
    """
    call = _call(expression)
    given = {keyword.arg for keyword in call.keywords}
    keywords = KNOWN_LOSSES[ast.unparse(call.func)].keywords
    return {name: RANGES[name] for name in keywords if name in RANGES and name not in given}


def with_settings(expression: str, settings: dict[str, float]) -> str:
    """Write settings into a loss expression that leaves them at their defaults.

    >>> with_settings("focal(label_smoothing=0.1)", {"gamma": 1.5})
    'focal(label_smoothing=0.1, gamma=1.5)'
    """
    call = _call(expression)
    call.keywords += [ast.keyword(name, ast.Constant(value)) for name, value in settings.items()]
    return ast.unparse(call) if call.keywords else ast.unparse(call.func)


def _call(expression: str) -> ast.Call:
    """Read an expression, a name or a call, as a call."""
    node = ast.parse(expression.strip(), mode="eval").body
    return node if isinstance(node, ast.Call) else ast.Call(node, [], [])
