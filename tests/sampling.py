"""Parameters of tests: all of them in the full suite, and of those that are many a sample each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, product
from typing import Any

import pytest

PLAIN = (str, int, float, bool, tuple, type(None))


def full(values: Iterable[Any]) -> list:
    """These values with the mark `full`: a test has them in `make test-full` only."""
    return [pytest.param(value, marks=pytest.mark.full) for value in values]


def named(values: Iterable[Any], ids: Iterable[str] | Callable[[Any], str]) -> list:
    """Each value with its id."""
    values = list(values)
    ids = [ids(value) for value in values] if callable(ids) else ids
    return [pytest.param(value, id=name) for value, name in zip(values, ids, strict=True)]


def sampled(parameters: Mapping[str, Iterable[Any]], *, pairs: bool = False) -> pytest.MarkDecorator:
    """Parametrize a test by all combinations of the values, and mark all but a sample of them `full`.

    The sample has each value of each parameter; with `pairs`, each pair of values of two parameters. A name may be of
    several parameters, as in "rows, classes", whose values are then tuples. A value may be a `pytest.param`; in the
    sample there is none that is itself `full`.
    """
    axes = [[_param(value, name, i) for i, value in enumerate(values)] for name, values in parameters.items()]
    often = [[i for i, x in enumerate(axis) if not any(m.name == "full" for m in x.marks)] for axis in axes]
    places = covering([len(x) for x in often], 2 if pairs and len(axes) > 1 else 1)
    chosen = {tuple(x[i] for x, i in zip(often, place, strict=True)) for place in places}
    cases = []
    for place in product(*(range(len(axis)) for axis in axes)):
        parts = [axis[i] for axis, i in zip(axes, place, strict=True)]
        marks = [mark for part in parts for mark in part.marks]
        marks += [] if place in chosen else [pytest.mark.full]
        values = [x for part in parts for x in part.values]
        cases.append(pytest.param(*values, marks=marks, id="-".join(str(part.id) for part in parts)))
    return pytest.mark.parametrize([name.strip() for name in ",".join(parameters).split(",")], cases)


def covering(sizes: list[int], strength: int) -> set[tuple[int, ...]]:
    """Few combinations of indices below the sizes that have every choice of `strength` of them at least once.

    Of those that have as many new choices as another, next is the one whose indices were used least.
    """
    every = list(product(*map(range, sizes)))
    groups = list(combinations(range(len(sizes)), strength))
    held = {place: {(group, *(place[g] for g in group)) for group in groups} for place in every}
    missing, chosen, used = set().union(*held.values()), set(), Counter()
    while missing:
        best = max(
            every, key=lambda place: (len(held[place] & missing), -sum(used[x] for x in enumerate(place)))
        )
        chosen.add(best)
        used.update(enumerate(best))
        missing -= held[best]
    return chosen


def _param(value: Any, name: str, index: int) -> Any:
    """The value as a `pytest.param` with an id."""
    if not (hasattr(value, "marks") and hasattr(value, "values") and hasattr(value, "id")):
        value = pytest.param(*(value if "," in name else (value,)))
    if value.id is not None:
        return value
    words = [
        _word(x, f"{part.strip()}{index}") for x, part in zip(value.values, name.split(","), strict=True)
    ]
    return pytest.param(*value.values, marks=value.marks, id="-".join(words))


def _word(value: Any, otherwise: str) -> str:
    return str(value) if isinstance(value, PLAIN) else getattr(value, "__name__", otherwise)
