"""64-bit hashes of values, the same in every process and on every machine."""

from hashlib import blake2b
from typing import Any

import numpy as np

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._coded import Coded
from crossentropy.evaluation._values import as_label, python_values

__all__ = ["hash_text", "hash_values", "mixed", "sort_keys"]

Array = np.ndarray[Any, Any]


def hash_values(values: Any, *, salt: str = "") -> Array:
    """Hash each value of a column.

    Equal values have equal hashes, whatever the width of their integers or floats. Different values share one with a
    probability of 2⁻⁶⁴ for each pair.

    Parameters
    ----------
    values : array or list (n,) of integers, bools, floats, strings, bytes, dates or nulls, or Coded
    salt : str, optional
        A name that is hashed with them.

    Returns
    -------
    uint64 array (n,)

    Examples
    --------
    >>> bool(hash_values([1, 2])[0] == hash_values([1.0, None])[0])
    True
    """
    if isinstance(values, Coded):
        return hash_values(values.values, salt=salt)[values.codes]
    array = (
        np.fromiter(values, object, len(values)) if isinstance(values, (list, tuple)) else np.asarray(values)
    )
    if array.dtype.kind in "biuf":
        return mixed(_bits(array) ^ np.uint64(hash_text(salt)))
    hashes = _hash_texts(array, salt) if array.dtype.kind in "OU" else None
    if hashes is not None:
        return hashes
    if array.dtype.kind == "O":  # numbers and nulls in one column: a number is the same without the nulls
        places: dict[Any, int] = {}
        codes = np.asarray([places.setdefault(x, len(places)) for x in array.tolist()], np.int64)
        found = list(places)
    else:
        distinct, codes = np.unique(array, return_inverse=True)
        found = python_values(distinct)
    of_each = [_hash_object(value, salt) for value in found]
    return np.asarray(of_each, np.uint64)[codes.reshape(-1)]


def _hash_texts(array: Array, salt: str) -> Array | None:
    """Hash texts as `hash_text` does; None if some values are none, or have surrogates."""
    texts = np.ascontiguousarray(array, object)
    hashes, prefix = np.empty(len(texts), np.uint64), _bytes(f"{salt}\0")
    address = NumpyMemory.address
    return hashes if _native.hash_texts(address(texts), len(texts), prefix, address(hashes)) else None


def _hash_object(value: Any, salt: str) -> int:
    label = as_label(value)
    if label is None:
        return hash_text(salt)
    if isinstance(label, str):
        return hash_text(f"{salt}\0{label}")
    return int(hash_values(np.asarray([label]), salt=salt)[0])


def hash_text(text: str) -> int:
    """Hash a text into 64 bits."""
    return int.from_bytes(blake2b(_bytes(text), digest_size=8).digest(), "little")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def mixed(z: Array) -> Array:
    """Mix the bits of 64-bit integers (SplitMix64)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sort_keys(keys: Array) -> None:
    """Sort uint64 keys in place, in a time that does not depend on the processor's vectors as NumPy's does.

    >>> keys = np.asarray([2**63, 3, 1], np.uint64)
    >>> sort_keys(keys)
    >>> keys.tolist()
    [1, 3, 9223372036854775808]
    """
    _native.sort_keys(NumpyMemory.address(keys), len(keys))


def _bits(array: Array) -> Array:
    """Return 64 bits for each number: equal for equal numbers."""
    if array.dtype.kind in "bi":
        return np.ascontiguousarray(array, np.int64).view(np.uint64)
    if array.dtype.kind == "u":
        return np.ascontiguousarray(array, np.uint64)
    wide = array.astype(np.float64) + 0.0  # −0 becomes 0
    whole = np.isfinite(wide) & (np.abs(wide) < 2.0**63) & (wide == np.floor(wide))
    integers = np.where(whole, wide, 0.0).astype(np.int64).view(np.uint64)
    return np.where(whole, integers, wide.view(np.uint64))
