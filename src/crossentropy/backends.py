"""Which framework an array belongs to, and its namespace.

A framework is never imported here: where there is an array, its framework is already in `sys.modules`.
"""

import sys
from typing import Any

import array_api_compat

__all__ = [
    "as_arrays",
    "first_true",
    "is_numpy",
    "is_torch",
    "is_true",
    "namespace",
    "sum_tolerance",
    "total",
]

Array = Any
PYTHON_VALUES = (bool, int, float, complex, list, tuple, type(None))


def is_torch(x: Any) -> bool:
    """Whether `x` is a PyTorch tensor.

    Examples
    --------
    >>> is_torch([0.5])
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_numpy(x: Any) -> bool:
    """Whether `x` is a NumPy array or scalar.

    Examples
    --------
    >>> import numpy as np
    >>> is_numpy(np.ones(2)), is_numpy([1.0])
    (True, False)
    """
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, (numpy.ndarray, numpy.generic))


def namespace(*arrays: Array) -> Any:
    """The array-API namespace that `arrays` share.

    Parameters
    ----------
    *arrays : array, or Python number, list or tuple
        Python's own values count as NumPy's when they come alone, and follow the arrays otherwise.

    Raises
    ------
    TypeError
        If they belong to different libraries, or to none that is known.

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.ones(2), 0.5).__name__
    'array_api_compat.numpy'
    """
    own = [x for x in arrays if not isinstance(x, PYTHON_VALUES)]
    if not own:
        from array_api_compat import numpy

        return numpy
    if all(is_torch(x) for x in own):  # spares torch.compile a look into caches, which it warns of
        from array_api_compat import torch

        return torch
    try:
        return array_api_compat.array_namespace(*own)
    except TypeError:
        got = " and ".join(sorted({f"{type(x).__module__}.{type(x).__qualname__}" for x in own}))
        raise TypeError(
            f"got {got}; pass arrays of one library, "
            "for example numpy.asarray(x) or torch.as_tensor(x) for each"
        ) from None


def as_arrays(*values: Any) -> tuple[Any, list[Array]]:
    """The namespace of `values`, and `values` as its arrays.

    Arrays pass through as they are; a Python number or list of floats becomes float64, on the device of the
    first array.

    Examples
    --------
    >>> xp, (p,) = as_arrays([0.25, 0.75])
    >>> p
    array([0.25, 0.75])
    """
    xp = namespace(*values)
    like = next((x for x in values if not isinstance(x, PYTHON_VALUES)), None)
    return xp, [_converted(x, xp, like) if isinstance(x, PYTHON_VALUES) else x for x in values]


def _converted(value: Any, xp: Any, like: Array | None) -> Array:
    import numpy

    array = numpy.asarray(value)
    return array if like is None else xp.asarray(array, device=array_api_compat.device(like))


def total(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """``Σ x`` over `axis`, in float64 where the library and the device have it.

    Examples
    --------
    >>> import numpy as np
    >>> total(np.ones(3, dtype="float32"), -1).dtype
    dtype('float64')
    """
    xp = namespace(x)
    if is_torch(x):
        has_float64 = x.device.type != "mps"
    else:
        has_float64 = "float64" in xp.__array_namespace_info__().dtypes(kind="real floating")
    return xp.sum(x, axis=axis, dtype=xp.float64 if has_float64 else None, keepdims=keepdims)


def sum_tolerance(x: Array) -> float:
    """How far from one the sum of a distribution may be, given what its dtype can say.

    Rounding each entry of a bfloat16 distribution moves its sum by up to 2⁻⁹ of it.

    Examples
    --------
    >>> import numpy as np
    >>> sum_tolerance(np.ones(2, dtype="float32"))
    1e-05
    """
    dtype = str(x.dtype)
    for name, tolerance in (("bfloat16", 3e-3), ("float16", 1e-3), ("float32", 1e-5)):
        if dtype.endswith(name):
            return tolerance
    return 1e-9


def is_true(flag: Array) -> bool:
    """Whether an array of one bool is known to be true.

    It is not where values cannot be read: in a compiled or traced function, under `vmap`, on a meta device.

    Examples
    --------
    >>> import numpy as np
    >>> is_true(np.asarray(True))
    True
    """
    if is_torch(flag) and sys.modules["torch"].compiler.is_compiling():
        return False
    try:
        return bool(flag)
    except (RuntimeError, TypeError):  # what PyTorch, and what JAX, raise for a value they do not have yet
        return False


def first_true(flags: Array) -> tuple[int, ...]:
    """Where the first true value of an array of bool stands.

    Examples
    --------
    >>> import numpy as np
    >>> first_true(np.asarray([[False, False], [True, False]]))
    (1, 0)
    """
    xp = namespace(flags)
    place: list[int] = []
    flat = int(xp.argmax(xp.astype(xp.reshape(flags, (-1,)), xp.int32)))
    for size in reversed(flags.shape):
        flat, i = divmod(flat, size)
        place.append(i)
    return tuple(reversed(place))
