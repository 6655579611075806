"""Which call a loss's value came from, so that NumPy can work out its gradient afterwards.

A loss composed of `softmax_cross_entropy` or `sigmoid_cross_entropy` is a function like any other. While one is
recorded, each call of these two leaves its logits, its value and the way to its gradient here; whose value the
composition returns is whose gradient it has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

Array = Any


class Call(NamedTuple):
    """One call of a loss: of what, its value, and a function that computes its gradient by the logits."""

    logits: Array
    value: Array
    gradient: Callable[[], Array]


_calls: ContextVar[list[Call] | None] = ContextVar("crossentropy_calls", default=None)


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """The calls that are made while this lasts, in this thread or task."""
    calls: list[Call] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def record(logits: Array, value: Array, gradient: Callable[[], Array]) -> None:
    """Keep a call, if calls are recorded."""
    calls = _calls.get()
    if calls is not None:
        calls.append(Call(logits, value, gradient))
