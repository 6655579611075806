"""Which row of one model is which row of another."""

from typing import Any

import numpy as np

from crossentropy.evaluation._comparison.rows import ScoredRows, as_texts
from crossentropy.evaluation._faults import BadData

__all__ = ["paired"]

Array = np.ndarray[Any, Any]


def paired(first: ScoredRows, second: ScoredRows, models: tuple[str, str], *, by_key: bool) -> ScoredRows:
    """Return the rows of the second in the order of the first.

    Parameters
    ----------
    first, second : ScoredRows
    models : (str, str)
        What they are called.
    by_key : bool
        Whether rows are paired by their names, or by their places.

    Raises
    ------
    BadData
        If a row has no partner or two, or another label or weight than its partner.
    """
    if by_key:
        second = second.in_order(_places(first.names, second.names, models))
    elif len(first) != len(second):
        raise BadData(
            f"{models[0]} has {len(first):,} rows and {models[1]} {len(second):,}; pass key=, the column that names "
            "each row, to pair them"
        )
    for name, a, b in (
        ("label", first.labels, second.labels),
        ("weight", first.weight, second.weight),
    ):
        if a is not None and b is not None and (a != b).any():
            row = first.names[int((a != b).argmax())]
            raise BadData(
                f"the {name} of row {_shown(row)} is not the same in {models[0]} and {models[1]}; pass predictions for "
                "the same rows" + ("" if by_key else ", in the same order, or key=")
            )
    return second


def _places(first: Array, second: Array, models: tuple[str, str]) -> Array:
    """Return where each name of the first is in the second."""
    if first.dtype.kind == "O" or second.dtype.kind == "O":
        first, second = as_texts(first), as_texts(second)
    if first.dtype.kind != "O" and np.array_equal(first, second) and (first[1:] > first[:-1]).all():
        return np.arange(len(first))
    orders = [np.argsort(names, kind="stable") for names in (first, second)]
    ordered = [first[orders[0]], second[orders[1]]]
    for names, order, model in zip(ordered, orders, models, strict=True):
        later = order[1:][names[1:] == names[:-1]]
        if len(later):
            where, among = int(later.min()), first if model == models[0] else second
            raise BadData(
                f"{model} has two rows with key {_shown(among[where])}; give each row a key of its own"
            )
    if not np.array_equal(ordered[0], ordered[1]):
        _refuse_missing(first, second, models[1])
        _refuse_missing(second, first, models[0])
    places = np.empty(len(first), np.int64)
    places[orders[0]] = orders[1]
    return places


def _refuse_missing(names: Array, among: Array, model: str) -> None:
    """Raise an error if some names are not among those of a model, with the first of them."""
    known = set(among.tolist())
    missing = [name for name in names.tolist() if name not in known]
    if missing:
        raise BadData(
            f"{model} has no row with key {missing[0]!r} ({len(missing):,} missing in all); pass predictions for the "
            "same rows. Rows that were left out for a fault count as missing"
        )


def _shown(name: Any) -> str:
    """Write a key, a text or an integer of NumPy."""
    return repr(name if isinstance(name, str) else int(name))
