"""From what the caller passes to files that are open."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob, has_magic
from io import BufferedReader, RawIOBase
from tempfile import TemporaryFile
from typing import IO, Any

import pyarrow as pa

from crossentropy.evaluation._faults import BadData
from crossentropy.evaluation._sources.paths import STANDARD_INPUT, called, each_once

__all__ = ["HEAD", "addresses", "opened", "rejoined", "seekable"]

#: Bytes by which a format is recognized.
HEAD = 1 << 16
_PACKED = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def addresses(source: Any) -> list[str]:
    """Return the addresses of files: patterns become the files that match them, in order of their names.

    Raises
    ------
    FileNotFoundError
        If a file is not there, or no file matches a pattern.
    IsADirectoryError
        If a folder is passed.
    ValueError
        If a file is named twice.
    """
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    return each_once([file for address in given for file in _files(os.fspath(address))])


def _files(address: str) -> Sequence[str]:
    if address == STANDARD_INPUT:
        return [address]
    if "://" in address:
        return _remote_files(address)
    if has_magic(address) and not os.path.exists(address):
        found = sorted(path for path in glob(address, recursive=True) if os.path.isfile(path))
        if not found:
            raise FileNotFoundError(f"no file matches {address!r}; pass paths, or a pattern that some match")
        return found
    if os.path.isdir(address):
        raise IsADirectoryError(f"{address} is a folder; pass its files, as {_pattern_in(address)!r}")
    if not os.path.exists(address):
        raise FileNotFoundError(
            f"there is no file {address!r}; pass a path, a pattern, or - for standard input"
        )
    return [address]


def _pattern_in(folder: str) -> str:
    """Return a pattern that matches files of a folder: of its own, or of folders in it as partitions are written."""
    own = any(entry.is_file() and not entry.name.startswith((".", "_")) for entry in os.scandir(folder))
    return os.path.join(folder, "*.parquet" if own else os.path.join("**", "*.parquet"))


def _remote_files(address: str) -> Sequence[str]:
    core = _fsspec()
    if not has_magic(address):
        return [address]
    system, path = core.url_to_fs(address)
    found = sorted(system.unstrip_protocol(name) for name in system.glob(path))
    if not found:
        raise FileNotFoundError(f"no file matches {address!r}; pass addresses, or a pattern that some match")
    return found


def _fsspec() -> Any:
    try:
        from fsspec import core
    except ImportError as error:
        raise ImportError(
            "addresses with :// are opened by fsspec; install it by: pip install fsspec"
        ) from error
    return core


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed if its first bytes are those of gzip or zstd."""
    with _raw(address) as file:
        head = file.read(HEAD)
        packed = next((name for name, mark in _PACKED.items() if head.startswith(mark)), None)
        if packed:
            stream = pa.CompressedInputStream(pa.PythonFile(rejoined(file, head), "r"), packed)
            yield BufferedReader(_Unpacked(stream, called(address)), 1 << 20)
        elif file.seekable():
            file.seek(0)
            yield file
        else:
            yield rejoined(file, head)


@contextmanager
def _raw(address: str) -> Iterator[IO[bytes]]:
    if address == STANDARD_INPUT:
        yield sys.stdin.buffer
    elif "://" in address:
        with _fsspec().open(address, "rb") as file:
            yield file
    else:
        with open(address, "rb") as file:
            yield file


def rejoined(file: IO[bytes], head: bytes) -> IO[bytes]:
    """Return a file that begins with `head`, which was read from it, and goes on with the rest."""
    return BufferedReader(_Rejoined(file, head), 1 << 20)


class _Unpacked(RawIOBase):
    """What a compressed stream holds."""

    def __init__(self, stream: pa.CompressedInputStream, origin: str) -> None:
        self._stream, self._origin = stream, origin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (OSError, EOFError) as error:
            raise BadData(
                f"{self._origin} cannot be unpacked: {error}; it may be truncated or damaged"
            ) from error
        buffer[: len(data)] = data
        return len(data)


class _Rejoined(RawIOBase):
    def __init__(self, file: IO[bytes], head: bytes) -> None:
        self._file, self._head = file, head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head or self._file.read(len(buffer))
        taken = data[: len(buffer)]
        self._head = self._head[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


@contextmanager
def seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Make a file one whose parts are read in any order; it is copied to a temporary file if that is needed."""
    if file.seekable():
        yield file
        return
    with TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.seek(0)
        yield copy
