"""What files are called."""

import os

__all__ = ["STANDARD_INPUT", "called", "each_once"]

#: The address of standard input.
STANDARD_INPUT = "-"


def called(address: str) -> str:
    """Return what messages call a file."""
    return "standard input" if address == STANDARD_INPUT else address


def each_once(addresses: list[str]) -> list[str]:
    """Return addresses, or refuse them if a file is there twice, as where patterns overlap.

    Raises
    ------
    ValueError
    """
    known: set[str] = set()
    for address in addresses:
        name = address if address == STANDARD_INPUT or "://" in address else os.path.realpath(address)
        if name in known:
            raise ValueError(f"{called(address)} is named twice, and would count twice; pass each file once")
        known.add(name)
    return addresses
