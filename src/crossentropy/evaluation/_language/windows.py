"""Windows in which a long text is scored."""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Window", "windows"]


class Window(NamedTuple):
    """What a model reads at once, and which tokens are scored there.

    A position is the place of a token in its text; −1 is the token before the text, as ``<s>``.
    """

    #: The positions that the model reads.
    inputs: range
    #: The positions whose log-probabilities count: those of the last outputs.
    scored: range


def windows(n_tokens: int, max_length: int, context: int = 1) -> Iterator[Window]:
    """Cut a text into windows in which each of its tokens is scored once.

    The first window begins with a token before the text and scores all that it reaches. Each further one moves on by
    ``max_length - context + 1`` tokens, which is how many it scores. The last one reaches back to be of full length.
    These are the rolling windows of lm-evaluation-harness.

    Parameters
    ----------
    n_tokens : int
        The tokens of the text, without the one before it.
    max_length : int
        The most tokens that the model reads at once.
    context : int, default 1
        How many tokens each scored token sees at least, from the second window on; from 1 (windows that do not overlap)
        to `max_length` (one token a window).

    Yields
    ------
    Window

    Raises
    ------
    ValueError
        If `context` is not from 1 to `max_length`, or `n_tokens` is negative.

    Examples
    --------
    >>> for window in windows(7, 4, context=3):
    ...     print(list(window.inputs), list(window.scored))
    [-1, 0, 1, 2] [0, 1, 2, 3]
    [1, 2, 3, 4] [4, 5]
    [2, 3, 4, 5] [6]
    """
    if n_tokens < 0:
        raise ValueError(f"n_tokens is {n_tokens}; pass the number of tokens of the text")
    if not 1 <= context <= max_length:
        raise ValueError(
            f"context is {context}; pass how many tokens a scored token sees at least, from 1 to "
            f"max_length={max_length}"
        )
    return _windows(n_tokens, max_length, max_length - context + 1)


def _windows(n_tokens: int, max_length: int, stride: int) -> Iterator[Window]:
    end = min(n_tokens, max_length)
    if end:
        yield Window(range(-1, end - 1), range(end))
    while end < n_tokens:
        begin, end = end, min(end + stride, n_tokens)
        yield Window(range(end - 1 - max_length, end - 1), range(begin, end))
