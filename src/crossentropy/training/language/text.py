"""Read text files, and hold out the last part of each."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crossentropy.training.errors import InputError


@dataclass(frozen=True)
class Texts:
    """The texts of a run.

    Attributes
    ----------
    training, held_out : list of str
        The first and the last part of each file.
    digest : str
        SHA-256 of the files' contents and where they were split.
    """

    training: list[str]
    held_out: list[str]
    digest: str


def check_paths(paths: Iterable[str]) -> None:
    """Raise InputError if a path is no file, before anything slow is imported or read."""
    for path in map(Path, paths):
        if path.is_dir():
            raise InputError(f"{path} is a folder: pass the text files in it, such as {path}/*.txt.")
        if not path.exists():
            raise InputError(f"There is no file {str(path)!r}.")


def read_texts(paths: Iterable[str], held_out: float) -> Texts:
    """Read UTF-8 files and hold out the last part of each, at least the share `held_out` of its bytes.

    Raises
    ------
    InputError
        If a path is no file, or the file is empty, no UTF-8 text, or a single character.
    """
    training: list[str] = []
    last_parts: list[str] = []
    digest = hashlib.sha256()
    for path in paths:
        content = _read(Path(path))
        cut = _cut(content, int(len(content) * (1 - held_out)))
        if cut == 0:
            raise InputError(
                f"{path} cannot be split: the first {1 - held_out:.0%} of it, which is what the model is to be "
                "trained on, is not one character. Pass more text."
            )
        for part, parts in ((content[:cut], training), (content[cut:], last_parts)):
            parts.append(part.decode())
            digest.update(hashlib.sha256(part).digest())
    return Texts(training, last_parts, digest.hexdigest())


def read_text(path: str) -> str:
    """Read a whole UTF-8 file.

    Raises
    ------
    InputError
        If it is no file, or empty, or no UTF-8 text.
    """
    return _read(Path(path)).decode()


def _cut(content: bytes, most: int) -> int:
    """Choose where to split UTF-8: at most `most` bytes come before, and at least one byte behind.

    That is behind the last line break. A text in one line, or one whose last break would leave less than half of
    `most`, is split behind a space, and one without spaces between two characters.
    """
    most = min(most, len(content) - 1)
    for mark in (b"\n", b" "):
        cut = content.rfind(mark, 0, most) + 1
        if cut and 2 * cut >= most:
            return cut
    while most > 0 and content[most] & 0xC0 == 0x80:  # a byte within a character
        most -= 1
    return most


def _read(path: Path) -> bytes:
    """Read the bytes of a file, or raise InputError if it is not UTF-8 text."""
    check_paths([str(path)])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not content:
        raise InputError(f"{path} is empty.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or _has_zeros_beside_text(content):
        raise InputError(
            f"{path} is UTF-16, and this command reads UTF-8: convert it with iconv -f UTF-16 -t UTF-8."
        )
    if (zero := content.find(b"\0")) >= 0:
        raise InputError(f"{path} is binary, not text: byte {zero} is zero.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no UTF-8 text: byte {error.start} is {content[error.start]:#04x}; if it is Latin-1, as "
            f"older programs write it, that is {chr(content[error.start])!r}, and iconv -f LATIN1 -t UTF-8 converts "
            "it."
        ) from error
    return content


def _has_zeros_beside_text(content: bytes) -> bool:
    """Tell whether one half of the bytes, the even or the odd ones, is mostly zero: UTF-16 without a mark."""
    start = content[: 1 << 12]
    shares = [half.count(0) / max(len(half), 1) for half in (start[::2], start[1::2])]
    return len(start) > 3 and max(shares) > 0.9 and min(shares) < 0.1
