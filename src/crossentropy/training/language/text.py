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

    @property
    def held_out_bytes(self) -> int:
        """Bytes of the held-out parts in UTF-8."""
        return sum(len(text.encode()) for text in self.held_out)


def read_texts(paths: Iterable[str], held_out: float) -> Texts:
    """Read UTF-8 files and split each at the last line break with at least the share `held_out` behind it.

    Raises
    ------
    InputError
        If a path is no file, or the file is empty, no UTF-8 text, or a single line.
    """
    training: list[str] = []
    last_parts: list[str] = []
    digest = hashlib.sha256()
    for path in paths:
        content = _read(Path(path))
        # The last byte is excluded from the search, so that the held-out part is not empty.
        cut = content.rfind(b"\n", 0, min(int(len(content) * (1 - held_out)), len(content) - 1)) + 1
        if cut == 0:
            raise InputError(
                f"{path} cannot be split: there is no line break in the first {1 - held_out:.0%} of it, "
                "which is what the model is to be trained on."
            )
        for part, parts in ((content[:cut], training), (content[cut:], last_parts)):
            parts.append(part.decode())
            digest.update(hashlib.sha256(part).digest())
    return Texts(training, last_parts, digest.hexdigest())


def _read(path: Path) -> bytes:
    """Read the bytes of a file, or raise InputError if it is not UTF-8 text."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: pass the text files in it, such as {path}/*.txt.")
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not content:
        raise InputError(f"{path} is empty.")
    if (zero := content.find(b"\0")) >= 0:
        raise InputError(f"{path} is binary, not text: byte {zero} is zero.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no UTF-8 text: byte {error.start} is {content[error.start]:#04x}; "
            "if it is text in another encoding, convert it with iconv -t UTF-8."
        ) from error
    return content
