"""Text cut into blocks of whole lines.

Arrow's own readers of streams read ahead in a thread of their own. That thread waits for the interpreter if the file is
one of Python's, and the interpreter waits for it if reading is given up. So blocks are cut here and parsed one by one.
"""

from collections.abc import Iterator
from typing import IO

from crossentropy.evaluation._faults import BadData

__all__ = ["LONGEST", "blocks_of_lines"]

#: Bytes that are parsed at once, and the most that may be without the end of a row.
BLOCK, LONGEST = 1 << 21, 1 << 24


def blocks_of_lines(file: IO[bytes], first: bytes, origin: str, *, quoted: bool) -> Iterator[bytes]:
    """Cut a file into blocks that end at the end of a line.

    Parameters
    ----------
    file : binary file
    first : bytes
        What was read from it already.
    origin : str
    quoted : bool
        Whether a line break between quotation marks is a part of a cell.
    """
    rest = first
    while True:
        data = file.read(BLOCK)
        rest += data
        end = _last_end(rest, quoted=quoted) if data else len(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
        if not data:
            return
        if len(rest) > LONGEST:
            raise BadData(
                f"{origin} has a row of more than {LONGEST >> 20} MiB, which begins with {rest[:60]!r}; look there for "
                "a quotation mark that is not closed"
            )


def _last_end(text: bytes, *, quoted: bool) -> int:
    """Return where the last whole line ends; 0 if none does."""
    end = text.rfind(b"\n") + 1
    if not quoted:
        return end
    marks = text.count(b'"', 0, end)
    while end and marks % 2:
        before = text.rfind(b"\n", 0, end - 1) + 1
        marks -= text.count(b'"', before, end)
        end = before
    return end
