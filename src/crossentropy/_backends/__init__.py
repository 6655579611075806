"""Which framework an array belongs to, its namespace, and what the frameworks name or compute differently.

No framework but NumPy is imported here: where there is an array, its framework is already in `sys.modules`.
"""

import math
import sys
from typing import Any

import array_api_compat
import numpy

from crossentropy._backends.tape import Taped, plain
from crossentropy._backends.types import INF, Array

__all__ = [
    "INF",
    "Array",
    "as_indices",
    "constant",
    "device",
    "expm1",
    "index_dtype",
    "is_jax",
    "is_number",
    "is_numpy",
    "is_recorded",
    "is_taped",
    "is_torch",
    "loss_dtype",
    "namespace",
    "number_of",
    "sum_tolerance",
    "taken_along",
    "total",
    "widest_dtype",
]

PYTHON_VALUES = (bool, int, float, complex, list, tuple, range, type(None))


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
    return isinstance(x, (numpy.ndarray, numpy.generic))


def is_jax(x: Any) -> bool:
    """Whether `x` is a JAX array, or one that is being traced.

    Examples
    --------
    >>> is_jax([0.5])
    False
    """
    array = getattr(sys.modules.get("jax"), "Array", None)
    return array is not None and isinstance(x, array)


def is_taped(x: Any) -> bool:
    """Whether `x` is an array of NumPy that `crossentropy.loss_and_gradient` differentiates by.

    Examples
    --------
    >>> is_taped([0.5])
    False
    """
    return isinstance(x, Taped)


def is_number(x: Any) -> bool:
    """Whether `x` is one of Python's numbers, or a size that PyTorch knows as a symbol.

    Examples
    --------
    >>> import numpy as np
    >>> is_number(2.0), is_number(np.ones(()))
    (True, False)
    """
    if isinstance(x, (int, float)):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, (torch.SymInt, torch.SymFloat))


def is_recorded(x: Array) -> bool:
    """Whether what is done to the tensor `x` is written down, to be run later with other values.

    So it is under `torch.compile`, `torch.export` and `torch.jit.trace`, in all of which sizes may be symbols or
    tensors, and what is read from a tensor would be taken for a constant. It is not so for arrays of other libraries.

    Examples
    --------
    >>> import numpy as np
    >>> is_recorded(np.ones(2))
    False
    """
    if not is_torch(x):
        return False
    torch = sys.modules["torch"]
    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


def namespace(*arrays: Array) -> Any:
    """The array-API namespace that `arrays` share.

    Parameters
    ----------
    *arrays : array, or Python number, list or tuple
        Python's own values count as NumPy's when they come alone, and follow the arrays otherwise. So do NumPy's
        arrays beside JAX's, as in JAX's own functions, and beside those that `loss_and_gradient` differentiates by.

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
    # Said here, since array_api_compat takes its time, and torch.compile warns of its caches.
    if own and all(map(is_torch, own)):
        from array_api_compat import torch

        return torch
    if all(map(is_numpy, own)):
        from array_api_compat import numpy

        return numpy
    if any(is_jax(x) or is_taped(x) for x in own):
        own = [x for x in own if not is_numpy(x)]
    if all(map(is_taped, own)):
        return own[0].__array_namespace__()
    try:
        return array_api_compat.array_namespace(*own)
    except TypeError:
        got = " and ".join(sorted({f"{type(x).__module__}.{type(x).__qualname__}" for x in own}))
        raise TypeError(
            f"got {got}; pass arrays of one library, "
            "for example numpy.asarray(x) or torch.as_tensor(x) for each"
        ) from None


def device(x: Array) -> Any:
    """Where new arrays are to lie to be combined with `x`, for the keyword `device` of its namespace.

    None for JAX, which moves uncommitted arrays to the others by itself and does not say where a traced one is.

    Examples
    --------
    >>> import numpy as np
    >>> device(np.ones(2))
    'cpu'
    """
    if is_torch(x):
        return x.device  # spares torch.compile array_api_compat's type caches, which it warns of
    return None if is_jax(x) else array_api_compat.device(x)


def widest_dtype(x: Array) -> Any:
    """float64 where the library and the device of `x` have it, else float32.

    Examples
    --------
    >>> import numpy as np
    >>> widest_dtype(np.ones(2, dtype="float32"))
    <class 'numpy.float64'>
    """
    if is_torch(x):
        torch = sys.modules["torch"]
        return torch.float32 if x.device.type == "mps" else torch.float64
    xp = namespace(x)
    has_float64 = not is_jax(x) or _has_wide_types()
    return xp.float64 if has_float64 else xp.float32


def loss_dtype(logits: Array) -> Any:
    """What losses and statistics are returned in: float64 for logits of float64 or wider, else float32.

    Examples
    --------
    >>> import numpy as np
    >>> loss_dtype(np.ones(2, dtype="float16"))
    <class 'numpy.float32'>
    """
    if is_torch(logits):
        torch = sys.modules["torch"]
        return torch.float64 if logits.dtype == torch.float64 else torch.float32
    xp = namespace(logits)
    wide = logits.dtype == xp.float64 or (is_numpy(logits) and logits.dtype == numpy.longdouble)
    return xp.float64 if wide else xp.float32


def index_dtype(x: Array) -> Any:
    """The integer type that the library of `x` counts classes in: int64 where it has it.

    Examples
    --------
    >>> import numpy as np
    >>> index_dtype(np.ones(2))
    <class 'numpy.int64'>
    """
    xp = namespace(x)
    return xp.int32 if is_jax(x) and not _has_wide_types() else xp.int64


def constant(x: Array) -> Array:
    """`x` without its derivatives, in the libraries that have any.

    Examples
    --------
    >>> import numpy as np
    >>> constant(np.asarray([0.5]))
    array([0.5])
    """
    if is_torch(x):
        return x.detach()
    if is_taped(x):
        return plain(x)
    return sys.modules["jax"].lax.stop_gradient(x) if is_jax(x) else x


def expm1(x: Array) -> Array:
    """``e^x − 1``, with all its digits near 0.

    In the older exporter to ONNX, which has no such operator, it is the difference, as the newer one writes it.

    Examples
    --------
    >>> import numpy as np
    >>> float(expm1(np.asarray(1e-20)))
    1e-20
    """
    if is_torch(x):
        torch = sys.modules["torch"]
        if torch.jit.is_tracing() and torch.onnx.is_in_onnx_export():
            return torch.exp(x) - 1
    return namespace(x).expm1(x)


def as_indices(labels: Array) -> Array:
    """Labels of any integer or bool type in the one that classes are counted in; a copy only where it differs.

    Examples
    --------
    >>> import numpy as np
    >>> as_indices(np.asarray([True, False]))
    array([1, 0])
    """
    dtype = index_dtype(labels)
    return labels if labels.dtype == dtype else namespace(labels).astype(labels, dtype)


def _has_wide_types() -> bool:
    """Whether JAX has been told to keep 64-bit types."""
    return bool(sys.modules["jax"].config.jax_enable_x64)


def taken_along(x: Array, indices: Array, axis: int) -> Array:
    """The entries of `x` at `indices` along `axis`, for indices of the shape of `x` but there.

    Examples
    --------
    >>> import numpy as np
    >>> taken_along(np.asarray([[0.2, 0.8]]), np.asarray([[1]]), -1)
    array([[0.8]])
    """
    if is_torch(x):  # take_along_dim knows no symbolic sizes
        return x.gather(axis, indices)
    return namespace(x).take_along_axis(x, indices, axis=axis)


def total(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """``Σ x`` over `axis`, in float64 where the library and the device have it.

    Examples
    --------
    >>> import numpy as np
    >>> total(np.ones(3, dtype="float32"), -1).dtype
    dtype('float64')
    """
    dtype = widest_dtype(x)
    return namespace(x).sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


def number_of(shape: tuple[Any, ...], like: Array) -> Any:
    """How many entries an array of this shape has: a float, or where `like` is recorded a tensor of one beside it.

    Examples
    --------
    >>> import numpy as np
    >>> number_of((2, 3), np.ones(2))
    6.0
    """
    n = math.prod(shape)
    if not is_recorded(like):
        return float(n)
    if is_torch(n):  # under torch.jit.trace sizes are tensors
        return n.to(like.device, widest_dtype(like))
    return namespace(like).full((), n, dtype=widest_dtype(like), device=like.device)


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
