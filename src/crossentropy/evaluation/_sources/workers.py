"""Threads that score rows while the next ones are read."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from queue import SimpleQueue
from typing import NamedTuple

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._scoring import Request, Scoring
from crossentropy.evaluation.state import State

__all__ = ["Work", "score_on_threads"]


class Work(NamedTuple):
    """Rows to be converted and scored."""

    request: Request
    rows: int
    add_to: Callable[[Scoring], None]


def score_on_threads(
    works: Iterator[Work], done: Callable[[int], None], scoring_of: Callable[..., Scoring] = Scoring
) -> State | None:
    """Score rows on ``OMP_NUM_THREADS`` threads, or as many as there are processors, while the caller's thread reads.

    Each thread has a state of its own, and in the end they are merged, so that it does not matter who scored what.

    Parameters
    ----------
    works : iterator of Work
        Reads the rows.
    done : callable
        Is told how many rows a work had, in the caller's thread and in the order of the rows.
    scoring_of : callable, default Scoring
        Makes what the rows of a thread go through; called as `Scoring` is.

    Returns
    -------
    State, or None
        None if there was no work.

    Raises
    ------
    Exception
        What the first rows that failed have raised, whichever failed first, or what `works` has raised after them.
    """
    first = next(works, None)
    if first is None:
        return None
    scoring, threads = scoring_of(first.request, threads=1), NumpyMemory.threads()
    first.add_to(scoring)
    done(first.rows)
    assert scoring.state is not None  # for type checkers
    state, free = scoring.state, SimpleQueue[Scoring]()
    others = [State(state.declaration) for _ in range(threads - 1)]
    free.put(scoring)
    for own in others:
        free.put(scoring_of(first.request, threads=1, state=own))

    def run(work: Work, piece: int) -> int:
        scoring = free.get()
        scoring.piece = piece
        try:
            work.add_to(scoring)
        finally:
            free.put(scoring)
        return work.rows

    waiting: deque[Future[int]] = deque()

    def finish(left: int = 0) -> None:
        while len(waiting) > left:
            done(waiting.popleft().result())

    with ThreadPoolExecutor(threads) as pool:
        for piece in count(1):
            if (work := _next(works, finish)) is None:
                break
            waiting.append(pool.submit(run, work, piece))
            finish(threads + 1)
        finish()
    for other in others:
        state.merge(other)
    return state


def _next(works: Iterator[Work], finish: Callable[[], None]) -> Work | None:
    """Read on; if that fails, errors of the rows before come first."""
    try:
        return next(works, None)
    except Exception:
        finish()
        raise
