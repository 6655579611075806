"""The options of an objective."""

from dataclasses import fields
from typing import Any

__all__ = ["check_hessian", "options_of"]


def options_of(objective: Any) -> dict[str, Any]:
    """Return the fields of an objective that are options of its loss, by name."""
    names = (field.name for field in fields(objective))
    return {name: getattr(objective, name) for name in names if name != "hessian"}


def check_hessian(hessian: Any) -> None:
    """Refuse what is no kind of Hessian."""
    if hessian not in ("exact", "positive"):
        raise ValueError(f'hessian is {hessian!r}; write "exact" or "positive"')
