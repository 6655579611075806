"""Which row of one model is which row of another."""

from typing import Any

import numpy as np

from crossentropy.evaluation._comparison.rows import ScoredRows, as_texts
from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._hashing import hash_values, sort_keys

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
        places = _places(first, second, models)
        second = second if places is None else second.in_order(places)
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


def _places(first: ScoredRows, second: ScoredRows, models: tuple[str, str]) -> Array | None:
    """Return where each name of the first is in the second; None if that is the same place everywhere.

    Texts are sorted by their hashes, and then compared.
    """
    pair = (first, second)
    with_texts = any(rows.names.dtype.kind == "O" for rows in pair)
    names = [as_texts(rows.names) if with_texts else rows.names for rows in pair]

    def keys_of(i: int) -> Array:
        if not with_texts:
            return names[i]
        return pair[i].keys if names[i] is pair[i].names else hash_values(names[i])

    in_order = len(first) == len(second) and bool((names[0] == names[1]).all())
    if in_order and _are_distinct(keys_of(0)):
        return None
    keys = [keys_of(0), keys_of(1)]
    orders = [np.argsort(own) for own in keys]
    ordered, its = (own[order] for own, order in zip(keys, orders, strict=True))
    if np.array_equal(ordered, its) and (ordered[1:] != ordered[:-1]).all():
        places = np.empty(len(first), np.int64)
        places[orders[0]] = orders[1]
        if not with_texts or (names[0] == names[1][places]).all():
            return places
    return _places_by_name(names[0].tolist(), names[1].tolist(), models)


def _are_distinct(keys: Array) -> bool:
    """Tell whether integers, or hashes, are all different."""
    if (keys[1:] > keys[:-1]).all():
        return True
    ordered = keys.astype(np.uint64)  # integers below 0 become others, each its own
    sort_keys(ordered)
    return bool((ordered[1:] != ordered[:-1]).all())


def _places_by_name(first: list[Any], second: list[Any], models: tuple[str, str]) -> Array:
    """Return where each name of the first is in the second, one by one, or refuse what has no partner or two."""
    known: list[dict[Any, int]] = []
    for names, model in zip((first, second), models, strict=True):
        places: dict[Any, int] = {}
        for i, name in enumerate(names):
            if places.setdefault(name, i) != i:
                raise BadData(f"{model} has two rows with key {name!r}; give each row a key of its own")
        known.append(places)
    for names, there, model in ((first, known[1], models[1]), (second, known[0], models[0])):
        missing = [name for name in names if name not in there]
        if missing:
            raise BadData(
                f"{model} has no row with key {missing[0]!r} ({len(missing):,} missing in all); pass predictions for "
                "the same rows. Rows that were left out for a fault count as missing"
            )
    return np.asarray([known[1][name] for name in first], np.int64)


def _shown(name: Any) -> str:
    """Write a key, a text or an integer of NumPy."""
    return repr(name if isinstance(name, str) else int(name))
