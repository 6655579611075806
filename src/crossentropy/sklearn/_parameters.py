"""Checks of the classifier's parameters."""

from math import inf
from numbers import Integral, Real
from typing import Any

__all__ = ["SELECTIONS", "check_parameters"]

SELECTIONS = ("objective", "log_loss", "accuracy")


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raise ValueError or TypeError for a parameter that is out of range, with its name and its value."""
    for name in ("batch_size", "epochs", "patience"):
        _check(name, parameters[name], Integral, 1, inf, "a whole number of at least 1")
    _check("learning_rate", parameters["learning_rate"], Real, 0, inf, "a number above 0", without_least=True)
    for name in ("weight_decay", "tol"):
        _check(name, parameters[name], Real, 0, inf, "a number of at least 0")
    _check("dropout", parameters["dropout"], Real, 0, 1, "a share of at least 0 and below 1")
    share = parameters["validation_fraction"]
    _check("validation_fraction", share, Real, 0, 1, "a share between 0 and 1", without_least=True)
    hidden: Any = parameters["hidden"]
    if isinstance(hidden, (str, Integral)) or not all(
        isinstance(w, Integral) and int(w) >= 1 for w in hidden
    ):
        raise ValueError(
            f"hidden is {hidden!r}; it must be the widths of the hidden layers, such as (256, 128), or () for a "
            "linear model"
        )
    if parameters["select"] not in SELECTIONS:
        raise ValueError(
            f"select is {parameters['select']!r}; it must be one of {', '.join(map(repr, SELECTIONS))}"
        )
    if parameters["early_stopping"] not in (True, False, "auto"):
        raise ValueError(
            f"early_stopping is {parameters['early_stopping']!r}; it must be True, False or 'auto'"
        )
    weight = parameters["class_weight"]
    if not (weight is None or weight == "balanced" or isinstance(weight, dict)):
        raise ValueError(
            f"class_weight is {weight!r}; it must be None, 'balanced', or a dict from labels to weights"
        )


def _check(
    name: str, value: Any, kind: Any, least: float, most: float, wanted: str, without_least: bool = False
) -> None:
    """Check that a number is of a kind, at least `least` (or above it) and below `most`."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be {wanted}")
    if not least <= value < most or (without_least and value == least):
        raise ValueError(f"{name} is {value!r}; it must be {wanted}")
