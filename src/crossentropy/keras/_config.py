"""Options as plain values of a configuration, which JSON can hold: links, arrays and numbers of NumPy."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from keras import ops

from crossentropy import links

__all__ = ["decoded", "encoded"]

LINK, ARRAY = "crossentropy.links", "array"


def encoded(value: Any, name: str) -> Any:
    """Return a value as JSON can hold it.

    Raises
    ------
    TypeError
        If it cannot be told in plain values, such as a function.

    Examples
    --------
    >>> encoded(links.Focal(gamma=2.0), "link")
    {'crossentropy.links': 'Focal', 'gamma': 2.0}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [encoded(x, name) for x in value]
    if is_dataclass(value) and getattr(links, type(value).__name__, None) is type(value):
        parts = {
            field.name: encoded(getattr(value, field.name), f"{name}.{field.name}") for field in fields(value)
        }
        return {LINK: type(value).__name__, **parts}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        array = ops.convert_to_numpy(value)
        return array.item() if array.ndim == 0 else {ARRAY: array.tolist(), "dtype": array.dtype.name}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a configuration cannot hold; pass numbers, arrays, or one of "
        "crossentropy.links without functions"
    )


def decoded(value: Any) -> Any:
    """Undo `encoded`; arrays become NumPy's.

    Examples
    --------
    >>> decoded({"crossentropy.links": "Focal", "gamma": 2.0})
    Focal(gamma=2.0)
    """
    if isinstance(value, (list, tuple)):
        return [decoded(x) for x in value]
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        return np.asarray(value[ARRAY], dtype=value["dtype"])
    if value.get(LINK) in links.__all__:
        parts = {name: decoded(x) for name, x in value.items() if name != LINK}
        return getattr(links, value[LINK])(**parts)
    raise ValueError(f"{value} is neither an array nor a link")
