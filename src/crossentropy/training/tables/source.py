"""Find a data set by name or path, and read a file's bytes; quick to import, so that a wrong path is reported soon."""

import codecs
import gzip
import zlib
from pathlib import Path

from crossentropy.training.errors import InputError

BUNDLED = ("digits", "breast_cancer", "wine", "iris")
PARQUET = b"PAR1"
_CHUNK = 1 << 24
_MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32-LE",
    codecs.BOM_UTF32_BE: "UTF-32-BE",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"FEA1": "a Feather file: write it as Parquet",
    b"BZh": "compressed by bzip2: unpack it, or compress it by gzip",
    b"\xfd7zXZ": "compressed by xz: unpack it, or compress it by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it, or compress it by gzip",
    b"\x89HDF": "an HDF5 file: write the table as Parquet",
    b"SQLite": "a database of SQLite: write the table as CSV",
    b"{": "a JSON file: write the table as CSV",
    b"[{": "a JSON file: write the table as CSV",
    b"<!": "a page of HTML or XML: write the table as CSV",
    b"<html": "a page of HTML: write the table as CSV",
    b"<?xml": "an XML file: write the table as CSV",
}


def check_exists(data: str) -> None:
    """Raise InputError unless `data` is the name of a bundled data set or the path of a file with content."""
    path = Path(data)
    if data in BUNDLED:
        return
    if not path.is_file():
        if path.is_dir():
            raise InputError(f"{data} is a folder: pass the path of a table in it.")
        raise InputError(
            f"There is no file {data!r}, nor a bundled data set of that name ({', '.join(BUNDLED)})."
        )
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise InputError(f"{data} cannot be read: {error.strerror or error}.") from error
    if not first:
        raise InputError(f"{data} is empty.")


def read_bytes(path: Path) -> tuple[bytes, list[str]]:
    """Read a file, decompressed if it is gzip, with a notice for what was done.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or is of a kind that is not a table of text or Parquet.
    """
    notices = []
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
            notices.append(f"{path.name} was decompressed by gzip.")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {str(error).rstrip('.')}.") from error
    if not content.strip():
        raise InputError(f"{path} is empty.")
    for magic, what in _FOREIGN.items():
        if content.startswith(magic):
            raise InputError(f"{path} is {what}.")
    return content, notices


def to_utf8(content: bytes, encoding: str | None, path: Path) -> tuple[bytes, list[str]]:
    """Convert the bytes of a text to UTF-8 without a byte-order mark, with a notice if it was in another encoding.

    The encoding is the given one, that of a byte-order mark, UTF-16 without a mark if every other byte is zero, or
    UTF-8.

    Raises
    ------
    InputError
        If the bytes are no text in this encoding.
    """
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    found = _MARKS.get(mark) or _without_mark(content[:4096])
    try:
        chosen = codecs.lookup(encoding).name if encoding else found
    except LookupError:
        raise InputError(
            f"There is no encoding {encoding!r}; write --encoding latin-1, for example."
        ) from None
    if mark and encoding and chosen not in _names_of(found):
        raise InputError(
            f"{path} begins with the byte-order mark of {found}, so --encoding {encoding} is wrong."
        )
    text = memoryview(content)[len(mark) :]
    if codecs.lookup(chosen).name != "utf-8":
        return _transcode(text, chosen, path), [f"{path.name} was read as {chosen}."]
    _transcode(text, chosen, path, keep=False)
    return (content[len(mark) :] if mark else content), []


def _names_of(found: str) -> set[str]:
    """The encodings that agree with a byte-order mark, such as UTF-16 with that of UTF-16-LE."""
    family = found.removesuffix("-LE").removesuffix("-BE")
    return {codecs.lookup(name).name for name in (found, family, family + "-SIG") if _is_codec(name)}


def _is_codec(name: str) -> bool:
    """Whether Python has an encoding of that name."""
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def _without_mark(head: bytes) -> str:
    """Guess UTF-16 from zero bytes at every other place, else UTF-8."""
    pairs = max(len(head) // 2, 1)
    if head[1::2].count(0) > 0.7 * pairs and head[::2].count(0) == 0:
        return "UTF-16-LE"
    if head[::2].count(0) > 0.7 * pairs and head[1::2].count(0) == 0:
        return "UTF-16-BE"
    return "UTF-8"


def _transcode(text: memoryview, encoding: str, path: Path, *, keep: bool = True) -> bytes:
    """Decode bytes piece by piece and encode them as UTF-8, or only check them."""
    decoder = codecs.getincrementaldecoder(encoding)()
    parts = []
    done = 0
    try:
        for start in range(0, len(text), _CHUNK):
            done = start
            piece = decoder.decode(text[start : start + _CHUNK], final=start + _CHUNK >= len(text))
            if "\0" in piece:
                raise _no_text(path, encoding)
            if keep:
                parts.append(piece.encode())
    except UnicodeError as error:
        if b"\0" in bytes(text):
            raise _no_text(path, encoding) from error
        place = done + getattr(error, "start", 0)
        line = bytes(text[:place]).count(b"\n") + 1
        other = "--encoding latin-1" if encoding.lower().startswith("utf-8") else "another --encoding"
        raise InputError(
            f"{path} cannot be read as {encoding}: line {line} holds bytes that are not valid {encoding}. Try {other}."
        ) from error
    return b"".join(parts).removeprefix(codecs.BOM_UTF8) if keep else b""


def _no_text(path: Path, encoding: str) -> InputError:
    """Build the error for bytes that are no text."""
    return InputError(f"{path} holds zero bytes, so it is not a text table in {encoding}.")
