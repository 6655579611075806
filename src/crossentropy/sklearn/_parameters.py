"""Checks of the classifier's parameters."""

from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import Any

from crossentropy._arguments.errors import as_written

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
    if not isinstance(parameters["loss"], str):
        raise TypeError(
            f"loss is {as_written(parameters['loss'])}; it must be a loss by name, such as 'focal(gamma=2)'"
        )
    hidden: Any = parameters["hidden"]
    is_row = isinstance(hidden, Iterable) and not isinstance(hidden, str)
    if not is_row or not all(isinstance(w, Integral) and int(w) >= 1 for w in hidden):
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
    seed = parameters["random_state"]
    if isinstance(seed, Integral) and int(seed) < 0:
        raise ValueError(f"random_state is {seed}; it must be at least 0, a RandomState or None")
    _check_class_weight(parameters["class_weight"])


def _check_class_weight(weight: Any) -> None:
    if isinstance(weight, dict):
        for label, value in weight.items():
            _check(f"class_weight[{label!r}]", value, Real, 0, inf, "a number of at least 0")
    elif weight is not None and not (isinstance(weight, str) and weight == "balanced"):
        raise ValueError(
            f"class_weight is {as_written(weight)}; it must be None, 'balanced', or a dict from labels to weights"
        )


def _check(
    name: str, value: Any, kind: Any, least: float, most: float, wanted: str, without_least: bool = False
) -> None:
    """Check that a number is of a kind, at least `least` (or above it) and below `most`."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be {wanted}")
    if not least <= value < most or (without_least and value == least):
        raise ValueError(f"{name} is {value!r}; it must be {wanted}")
