"""Bytes for a tree of numbers, texts and integer arrays: with a version, and a digest that finds any damage.

The form is canonical: equal trees have equal bytes.
"""

import json
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

MAGIC = b"crossentropy state\n"
VERSION = 1
DIGEST = 16
#: How many numbers an array that is mostly 0 has at most: the places of those that are not have 32 bits.
MOST = 1 << 31
HEAD = len(MAGIC) + 4 + 8 + 8 + DIGEST


def pack(tree: Any) -> bytes:
    """Write a tree of dicts, lists, texts, numbers, None and integer arrays."""
    arrays: list[bytes] = []
    text = json.dumps(_without_arrays(tree, arrays), sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(arrays)
    head = (
        MAGIC
        + VERSION.to_bytes(4, "little")
        + len(text).to_bytes(8, "little")
        + len(body).to_bytes(8, "little")
    )
    return head + _digest(head, text, body) + text + body


def unpack(data: bytes) -> Any:
    """Read what `pack` wrote.

    Raises
    ------
    ValueError
        If it is something else, of another version, truncated or damaged.
    """
    data = bytes(data)
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise ValueError(
            f"these {len(data)} bytes are no state: they begin with {data[:16]!r}; pass what State.to_bytes() returned"
        )
    if len(data) < HEAD:
        raise ValueError(
            f"this state is truncated: {len(data)} bytes are not even its head; write or copy it again"
        )
    at = len(MAGIC)
    version = int.from_bytes(data[at : at + 4], "little")
    if version != VERSION:
        raise ValueError(
            f"this state has version {version}, and this release of crossentropy reads version {VERSION}; use the "
            "release that wrote it, or compute the state again"
        )
    texts = int.from_bytes(data[at + 4 : at + 12], "little")
    arrays = int.from_bytes(data[at + 12 : at + 20], "little")
    if len(data) != HEAD + texts + arrays:
        what = "truncated" if len(data) < HEAD + texts + arrays else "followed by other bytes"
        raise ValueError(
            f"this state is {what}: it has {len(data)} bytes, and its head says {HEAD + texts + arrays}; write or copy "
            "it again"
        )
    text, body = data[HEAD : HEAD + texts], data[HEAD + texts :]
    if _digest(data[: HEAD - DIGEST], text, body) != data[HEAD - DIGEST : HEAD]:
        raise ValueError("this state is damaged: its digest does not fit its bytes; write or copy it again")
    try:
        return _with_arrays(json.loads(text), body)
    except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"this state holds something else than trees and arrays: {error}") from error


def _digest(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=DIGEST)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _without_arrays(tree: Any, arrays: list[bytes]) -> Any:
    if isinstance(tree, dict):
        return {key: _without_arrays(tree[key], arrays) for key in sorted(tree)}
    if isinstance(tree, (list, tuple)):
        return [_without_arrays(x, arrays) for x in tree]
    if not isinstance(tree, np.ndarray):
        return tree
    flat = tree.reshape(-1)
    used = np.flatnonzero(flat)
    if 12 * len(used) < 8 * len(flat):  # most are 0
        arrays += [used.astype("<i4").tobytes(), flat[used].astype("<i8").tobytes()]
        return {"array": list(tree.shape), "nonzero": len(used)}
    arrays.append(flat.astype("<i8").tobytes())
    return {"array": list(tree.shape)}


def _with_arrays(tree: Any, body: bytes) -> Any:
    place = 0

    def numbers(dtype: str, count: int) -> np.ndarray[Any, Any]:
        nonlocal place
        found = np.frombuffer(body, dtype, count, place)
        place += found.nbytes
        return found

    def restored(x: Any) -> Any:
        if isinstance(x, list):
            return [restored(y) for y in x]
        if not isinstance(x, dict):
            return x
        if "array" not in x:
            return {key: restored(x[key]) for key in sorted(x)}
        size = prod(x["array"])
        if "nonzero" in x:
            if size > MOST:
                raise ValueError(f"an array of {size} numbers")
            used = numbers("<i4", x["nonzero"])
            flat = np.zeros(size, np.int64)
            flat[used] = numbers("<i8", len(used))
        else:
            flat = numbers("<i8", size).astype(np.int64)
        return flat.reshape(x["array"])

    return restored(tree)
