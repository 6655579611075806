"""The one exception for requests that cannot be served, with the reason for the user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

#: PyTorch's errors for a tensor that does not fit, on the CPU and on CUDA
_NO_MEMORY = re.compile("allocate memory|out of memory|Storage size")


class InputError(ValueError):
    """Bad input from the user; its message is shown to the user unchanged."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


@contextmanager
def memory_errors(sentence: str) -> Iterator[None]:
    """Turn errors of too little memory into an InputError with this sentence."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        raise InputError(sentence) from error


def counted(n: int, what: str) -> str:
    """Write a number with the word for what is counted, in the plural unless it is one.

    >>> counted(1, "cell"), counted(12, "cell")
    ('1 cell', '12 cells')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"
