"""Options that say which columns predictions are in."""

from typing import Any

__all__ = ["names_of", "one_kind"]


def names_of(columns: str | None) -> Any:
    """Return a name or a pattern, or a list of names.

    >>> names_of("p_*"), names_of("p_cat,p_dog")
    ('p_*', ['p_cat', 'p_dog'])
    """
    return columns.split(",") if columns and "," in columns else columns


def one_kind(proba: str | None, logits: str | None, log_proba: str | None) -> tuple[str, Any]:
    """Return what the predictions are, and the names of their columns.

    Raises
    ------
    ValueError
        If not exactly one is passed.
    """
    given = {"proba": proba, "logits": logits, "log_proba": log_proba}
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) != 1:
        raise ValueError("pass one of --proba, --logits and --log-proba: what the predictions are")
    return kinds[0], names_of(given[kinds[0]])
