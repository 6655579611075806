"""Losses by name: ``cross_entropy``, ``focal(gamma=2)``, ``cross_entropy(class_weight=balanced)``.

An expression is a name, or a call of it with keyword numbers and, for some keywords, words; it is parsed, never
evaluated. Words that depend on class counts, such as ``balanced``, use those of the training rows.
"""

import ast
import math
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from crossentropy._arguments.errors import keywords
from crossentropy._backends import Array, device, namespace
from crossentropy._loss_expressions.errors import LossExpressionError
from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES, WORDS, KnownLoss, public_losses
from crossentropy._loss_expressions.objective import LogitTransform, Objective

__all__ = ["parse_loss"]


def parse_loss(expression: str, counts: Array | None = None) -> Objective:
    """Parse a loss expression into a training objective.

    Parameters
    ----------
    expression : str
    counts : array (C,), optional
        Class counts in the training rows, in the library and on the device of the logits; not needed to check an
        expression.

    Raises
    ------
    LossExpressionError
        If the expression cannot be parsed, or its name, a keyword or a value is unknown.
    """
    name, settings = _parse(expression)
    if name not in KNOWN_LOSSES:
        raise LossExpressionError(_unknown(name))
    known = KNOWN_LOSSES[name]
    for keyword in settings:
        if keyword not in known.keywords:
            raise LossExpressionError(f"The loss {name} takes {_keywords(known)}, and not {keyword!r}.")
    for keyword in known.required:
        if keyword not in settings:
            raise LossExpressionError(f"The loss {name} needs {keyword}=number, as in {name}({keyword}=0.5).")
    n = np.ones(2) if counts is None else counts
    xp, place = namespace(n), device(n)
    try:
        values = {key: value(n) if callable(value) else value for key, value in settings.items()}
        if known.takes_counts:
            values["counts"] = n
        loss = partial(known.function, **values)
        logits = xp.zeros((1, n.shape[0]), dtype=xp.float32, device=place)
        loss(logits, xp.zeros(1, dtype=xp.int64, device=place))
    except (TypeError, ValueError) as error:
        raise LossExpressionError(
            f"The loss {expression} (which takes {_keywords(known)}) is not possible: {error}"
        ) from error
    temperature = values.get("temperature", 1.0)
    if "scale" in known.keywords:
        temperature = 1 / values.get("scale", signature(known.function).parameters["scale"].default)
    return Objective(
        expression,
        loss,
        LogitTransform(temperature, values.get("softcap")),
        values.get("class_weight"),
        averages_rows="normalizer" in keywords(known.function),
        uses_counts=known.takes_counts or any(callable(value) for value in settings.values()),
        about_probabilities=known.about_probabilities,
    )


def _parse(expression: str) -> tuple[str, dict[str, Any]]:
    """Split an expression into its name and the values of its keywords."""
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unreadable(expression) from None
    if isinstance(node, ast.Name):
        return node.id, {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _unreadable(expression)
    name = node.func.id
    settings = {str(keyword.arg): _value(keyword, expression) for keyword in node.keywords}
    if name in KNOWN_LOSSES and node.args:
        raise LossExpressionError(
            f"The loss {name} takes {_keywords(KNOWN_LOSSES[name])}, each written as keyword=number."
        )
    if len(settings) < len(node.keywords):
        raise _unreadable(expression)
    return name, settings


def _value(keyword: ast.keyword, expression: str) -> Any:
    """Read the value of a keyword: a number, or the value for one of its words."""
    words = WORDS.get(keyword.arg or "", {})
    if words:
        word = ast.unparse(keyword.value).replace(" ", "").strip("'")
        if word not in words:
            known = " or ".join(f"{keyword.arg}={word}" for word in words)
            raise LossExpressionError(f"In the loss {expression}, write {known}, and not {word!r}.")
        return words[word]
    try:
        value = ast.literal_eval(keyword.value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        value = None
    if keyword.arg is None or type(value) not in (int, float) or not math.isfinite(value):
        source = ast.unparse(keyword)
        raise LossExpressionError(f"In the loss {expression}, {source!r} is not of the form keyword=number.")
    return value


def _keywords(known: KnownLoss) -> str:
    """List the keywords of a loss for an error."""
    return " and ".join(filter(None, [", ".join(known.keywords[:-1]), known.keywords[-1]]))


def _unknown(name: str) -> str:
    """Say that there is no such loss for a classifier, and which there are."""
    what = "is a loss for other models" if name in public_losses() else "is the name of no loss"
    close = get_close_matches(name, KNOWN_LOSSES, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"{name!r} {what}.{meant} A classifier can be trained with {', '.join(KNOWN_LOSSES)}."


def _unreadable(expression: str) -> LossExpressionError:
    """Build the error for an expression that cannot be parsed."""
    return LossExpressionError(
        f"The loss {expression!r} cannot be read: write a name, or a name with keyword numbers, "
        "such as cross_entropy(label_smoothing=0.1) or focal(gamma=2)."
    )
