"""Losses by name: ``cross_entropy``, ``cross_entropy(label_smoothing=0.1)``, ``focal(gamma=2)``.

An expression is a name, or a call of it with keyword numbers; it is parsed, never evaluated.
"""

import ast
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossentropy.torch import CrossEntropyLoss, FocalLoss
from crossentropy.training.errors import InputError


@dataclass(frozen=True)
class KnownLoss:
    """A loss that an expression may name, and the numbers it takes."""

    module: type[nn.Module]
    keywords: tuple[str, ...]
    description: str


KNOWN_LOSSES = {
    "cross_entropy": KnownLoss(
        CrossEntropyLoss,
        ("label_smoothing", "temperature", "softcap", "z_loss", "entropy_bonus"),
        "minus the log-probability of the label",
    ),
    "focal": KnownLoss(
        FocalLoss,
        ("gamma",),
        "cross-entropy times (1 - p)^gamma, so that well classified rows count less",
    ),
}


@dataclass(frozen=True)
class Objective:
    """What training minimises, and the probabilities that go with it.

    The loss of logits z is that of the probabilities softmax(softcap * tanh(z / softcap) / temperature),
    so these, and not softmax(z), are what the trained model predicts.
    """

    expression: str
    loss: nn.Module
    temperature: float = 1.0
    softcap: float | None = None

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Log-probabilities of the classes, in float64 on the CPU."""
        logits = logits.cpu().double()
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return torch.log_softmax(logits / self.temperature, dim=1)


def parse_loss(expression: str) -> Objective:
    """Make the training objective that a loss expression stands for.

    Raises
    ------
    InputError
        If the expression cannot be read, or its name, a keyword or a value is not known.
    """
    name, numbers = _parse(expression)
    if name not in KNOWN_LOSSES:
        lines = [f"  {known:<15}{entry.description}" for known, entry in KNOWN_LOSSES.items()]
        raise InputError("\n".join([f"There is no loss named {name!r}; the known ones are:", *lines]))
    known = KNOWN_LOSSES[name]
    for keyword in numbers:
        if keyword not in known.keywords:
            raise InputError(f"The loss {name} takes {_keywords(known)}, and not {keyword!r}.")
    try:
        loss = known.module(**numbers)
        loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The loss {expression} (which takes {_keywords(known)}) is not possible: {error}"
        ) from error
    transform = {key: value for key, value in numbers.items() if key in ("temperature", "softcap")}
    return Objective(expression, loss, **transform)


def _parse(expression: str) -> tuple[str, dict[str, float]]:
    """Split an expression into its name and its keyword numbers."""
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unreadable(expression) from None
    if isinstance(node, ast.Name):
        return node.id, {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _unreadable(expression)
    name, numbers = (
        node.func.id,
        {str(keyword.arg): _number(keyword, expression) for keyword in node.keywords},
    )
    if name in KNOWN_LOSSES and node.args:
        raise InputError(
            f"The loss {name} takes {_keywords(KNOWN_LOSSES[name])}, each written as keyword=number."
        )
    if len(numbers) < len(node.keywords):
        raise _unreadable(expression)
    return name, numbers


def _number(keyword: ast.keyword, expression: str) -> float:
    """The number that a keyword is given."""
    try:
        value = ast.literal_eval(keyword.value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        value = None
    if keyword.arg is None or type(value) not in (int, float) or not math.isfinite(value):
        source = ast.unparse(keyword)
        raise InputError(f"In the loss {expression}, {source!r} is not of the form keyword=number.")
    return value


def _keywords(known: KnownLoss) -> str:
    return " and ".join(filter(None, [", ".join(known.keywords[:-1]), known.keywords[-1]]))


def _unreadable(expression: str) -> InputError:
    return InputError(
        f"The loss {expression!r} cannot be read: write a name, or a name with keyword numbers, "
        "such as cross_entropy(label_smoothing=0.1) or focal(gamma=2)."
    )
