"""Dtypes of the elements of arrays: their names, which are the same in every library, and what follows from these."""

from functools import cache
from typing import Any

import numpy

from crossentropy._backends import Array, namespace

__all__ = ["dtype_name", "is_kind", "sum_tolerance"]

#: Kinds of the standard by name, of which no library need be asked.
KINDS = (
    {"bool": "bool"}
    | {f"{sign}int{bits}": "integral" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    | dict.fromkeys(("bfloat16", "float16", "float32", "float64"), "real floating")
)

TOLERANCES = {"bfloat16": 3e-3, "float16": 1e-3, "float32": 1e-5}


def dtype_name(x: Array) -> str:
    """Return the name of the dtype of `x`, the same in every library.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_name(np.ones(2))
    'float64'
    """
    return _name(x.dtype) if type(x) is numpy.ndarray else str(x.dtype).rpartition(".")[2]


@cache  # NumPy composes a name anew each time; `torch.compile` would warn of a cache
def _name(dtype: Any) -> str:
    return str(dtype)


def is_kind(x: Array, kind: str | tuple[str, ...]) -> bool:
    """Tell whether the dtype of `x` is of a kind, or of one of several, in the words of the standard's `isdtype`.

    Examples
    --------
    >>> import numpy as np
    >>> is_kind(np.ones(2), "real floating"), is_kind(np.ones(2), ("bool", "integral"))
    (True, False)
    """
    known = KINDS.get(dtype_name(x))
    if known is not None:
        return known == kind or known in kind
    return bool(namespace(x).isdtype(x.dtype, kind))


def sum_tolerance(x: Array) -> float:
    """Return the tolerance for the sum of a distribution about 1, by the dtype of `x`.

    Rounding each entry of a bfloat16 distribution changes its sum by up to 2⁻⁹.

    Examples
    --------
    >>> import numpy as np
    >>> sum_tolerance(np.ones(2, dtype="float32"))
    1e-05
    """
    return TOLERANCES.get(dtype_name(x), 1e-9)
