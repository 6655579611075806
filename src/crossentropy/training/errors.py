"""The one exception for requests that cannot be served, with the reason for the user."""


class InputError(ValueError):
    """Bad input from the user; its message is shown to the user unchanged."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


def counted(n: int, what: str) -> str:
    """Write a number with the word for what is counted, in the plural unless it is one.

    >>> counted(1, "cell"), counted(12, "cell")
    ('1 cell', '12 cells')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"
