"""The options of an objective."""

from dataclasses import fields
from typing import Any

import numpy as np

from crossentropy._arguments.errors import as_written

__all__ = ["check_hessian", "check_weights", "options_of"]


def options_of(objective: Any) -> dict[str, Any]:
    """Return the fields of an objective that are options of its loss, by name."""
    names = (field.name for field in fields(objective))
    return {name: getattr(objective, name) for name in names if name != "hessian"}


def check_hessian(hessian: Any) -> None:
    """Refuse what is no kind of Hessian."""
    if hessian not in ("exact", "positive"):
        raise ValueError(f'hessian is {hessian!r}; write "exact" or "positive"')


def check_weights(**weights: Any) -> None:
    """Refuse weights of classes that are negative or not finite, with which trees would go away from the labels."""
    for name, value in weights.items():
        if value is None:
            continue
        numbers = np.asarray(value)
        if numbers.dtype.kind in "biuf" and not (np.isfinite(numbers) & (numbers >= 0)).all():
            raise ValueError(f"{name} is {as_written(value)}; a weight must be finite and not negative")
