"""Detection of an array's framework, its namespace, and the operations that the frameworks name or compute differently.

No framework but NumPy is imported here: if there is an array, its framework is already in `sys.modules`.
"""

import math
import sys
from typing import Any

import array_api_compat
import numpy

from crossentropy._backends.modes import is_legacy_onnx_export, is_recorded
from crossentropy._backends.tape import Taped, plain
from crossentropy._backends.types import INF, PYTHON_VALUES, Array

__all__ = [
    "INF",
    "PYTHON_VALUES",
    "Array",
    "as_indices",
    "constant",
    "device",
    "expm1",
    "index_dtype",
    "is_jax",
    "is_number",
    "is_numpy",
    "is_taped",
    "is_tensorflow",
    "is_torch",
    "loss_dtype",
    "loss_dtype_of",
    "namespace",
    "number_of",
    "taken_along",
    "takes_numpy",
    "total",
    "widest_dtype",
]


#: Namespaces of arrays by their type; those of `loss_and_gradient` and of JAX's tracers are types as well.
NAMESPACES: dict[type, Any] = {}


def is_torch(x: Any) -> bool:
    """Tell whether `x` is a PyTorch tensor.

    Examples
    --------
    >>> is_torch([0.5])
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_numpy(x: Any) -> bool:
    """Tell whether `x` is a NumPy array or scalar.

    Examples
    --------
    >>> import numpy as np
    >>> is_numpy(np.ones(2)), is_numpy([1.0])
    (True, False)
    """
    return isinstance(x, (numpy.ndarray, numpy.generic))


def is_jax(x: Any) -> bool:
    """Tell whether `x` is a JAX array, traced ones included.

    Examples
    --------
    >>> is_jax([0.5])
    False
    """
    array = getattr(sys.modules.get("jax"), "Array", None)
    return array is not None and isinstance(x, array)


def is_taped(x: Any) -> bool:
    """Tell whether `x` is a taped NumPy array, with respect to which `loss_and_gradient` differentiates.

    Examples
    --------
    >>> is_taped([0.5])
    False
    """
    return isinstance(x, Taped)


def is_tensorflow(x: Any) -> bool:
    """Tell whether `x` is a tensor of TensorFlow, as the losses compute with it: a `TensorFlowArray`.

    Examples
    --------
    >>> is_tensorflow([0.5])
    False
    """
    module = sys.modules.get("crossentropy._backends.tensorflow")
    return module is not None and isinstance(x, module.TensorFlowArray)


def takes_numpy(x: Any) -> bool:
    """Tell whether NumPy arrays beside `x` are taken over to its library, as that library itself does.

    Examples
    --------
    >>> takes_numpy([0.5])
    False
    """
    return is_jax(x) or is_tensorflow(x)


def is_number(x: Any) -> bool:
    """Tell whether `x` is a Python number, or a symbolic size of PyTorch.

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


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that `arrays` share.

    Parameters
    ----------
    *arrays : array, or Python number, list or tuple
        Python values alone count as NumPy's, else they follow the arrays. NumPy arrays beside those of JAX and
        TensorFlow follow these, as in their own functions, and beside taped ones they follow those.

    Raises
    ------
    TypeError
        If they belong to different libraries, or to an unknown one.

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.ones(2), 0.5).__name__
    'array_api_compat.numpy'
    """
    if len(arrays) == 1:
        known = NAMESPACES.get(type(arrays[0]))
        if known is not None:
            return known
    others = [x for x in arrays if not isinstance(x, PYTHON_VALUES)]
    if any(takes_numpy(x) or is_taped(x) for x in others):
        others = [x for x in others if not is_numpy(x)]
    try:
        first, *rest = [_namespace_of(x) for x in others or [numpy.empty(0)]]
    except TypeError:
        first, rest = None, [numpy]
    if any(xp is not first for xp in rest):
        types = " and ".join(sorted({f"{type(x).__module__}.{type(x).__qualname__}" for x in others}))
        raise TypeError(
            f"got {types}; pass arrays of one library, "
            "for example numpy.asarray(x) or torch.as_tensor(x) for each"
        )
    return first


def _namespace_of(x: Array) -> Any:
    """Return the namespace of one array; it is found once for a type of arrays, and once for all of JAX's."""
    kind = sys.modules["jax"].Array if is_jax(x) else type(x)
    if kind not in NAMESPACES:
        # array_api_compat is not asked of these: it fails where PyTorch cannot be imported, and torch.compile warns of
        # its caches.
        if is_numpy(x):
            from array_api_compat import numpy as of_numpy

            NAMESPACES[kind] = of_numpy
        elif is_torch(x):
            from array_api_compat import torch as of_torch

            NAMESPACES[kind] = of_torch
        elif is_taped(x) or is_tensorflow(x):
            NAMESPACES[kind] = x.__array_namespace__()
        else:
            NAMESPACES[kind] = array_api_compat.array_namespace(x)
    return NAMESPACES.setdefault(type(x), NAMESPACES[kind])


def device(x: Array) -> Any:
    """Return the device of `x`, for the keyword `device` of its namespace.

    None for JAX, which moves uncommitted arrays by itself and does not know the device of a traced one.

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
    """Return float64 if the library and the device of `x` have it, else float32.

    Examples
    --------
    >>> import numpy as np
    >>> widest_dtype(np.ones(2, dtype="float32"))
    <class 'numpy.float64'>
    """
    xp = namespace(x)
    has_float64 = x.device.type != "mps" if is_torch(x) else not is_jax(x) or _has_wide_types()
    return xp.float64 if has_float64 else xp.float32


def loss_dtype(logits: Array) -> Any:
    """Return the dtype of losses and statistics: float64 for logits of float64 or wider, else float32.

    Examples
    --------
    >>> import numpy as np
    >>> loss_dtype(np.ones(2, dtype="float16"))
    <class 'numpy.float32'>
    """
    return loss_dtype_of(logits.dtype, namespace(logits))


def loss_dtype_of(dtype: Any, xp: Any) -> Any:
    """Return the dtype of losses of logits of this dtype, both of the library with the namespace `xp`.

    Examples
    --------
    >>> loss_dtype_of(numpy.dtype("longdouble"), numpy)
    <class 'numpy.float64'>
    """
    wide = dtype in (xp.float64, getattr(xp, "longdouble", xp.float64))
    return xp.float64 if wide else xp.float32


def index_dtype(x: Array) -> Any:
    """Return the dtype of class indices in the library of `x`: int64 if it has it, else int32.

    Examples
    --------
    >>> import numpy as np
    >>> index_dtype(np.ones(2))
    <class 'numpy.int64'>
    """
    xp = namespace(x)
    return xp.int32 if is_jax(x) and not _has_wide_types() else xp.int64


def constant(x: Array) -> Array:
    """Detach `x`: the same values, through which no gradient flows.

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
    if is_tensorflow(x):
        return x.constant()
    return sys.modules["jax"].lax.stop_gradient(x) if is_jax(x) else x


def expm1(x: Array) -> Array:
    """Compute ``e^x − 1``, with all digits near 0.

    The older exporter to ONNX has no such operator; it gets the difference, as the newer one writes it.

    Examples
    --------
    >>> import numpy as np
    >>> float(expm1(np.asarray(1e-20)))
    1e-20
    """
    if is_torch(x):
        torch = sys.modules["torch"]
        if is_legacy_onnx_export():
            return torch.exp(x) - 1
    return namespace(x).expm1(x)


def as_indices(labels: Array) -> Array:
    """Convert labels of any integer or bool dtype to `index_dtype`; a copy only if the dtype differs.

    Examples
    --------
    >>> import numpy as np
    >>> as_indices(np.asarray([True, False]))
    array([1, 0])
    """
    dtype = index_dtype(labels)
    return labels if labels.dtype == dtype else namespace(labels).astype(labels, dtype)


def _has_wide_types() -> bool:
    """Tell whether JAX has 64-bit types enabled."""
    return bool(sys.modules["jax"].config.jax_enable_x64)


def taken_along(x: Array, indices: Array, axis: int) -> Array:
    """Take the entries of `x` at `indices` along `axis`; the shapes are equal but for that axis.

    Examples
    --------
    >>> import numpy as np
    >>> taken_along(np.asarray([[0.2, 0.8]]), np.asarray([[1]]), -1)
    array([[0.8]])
    """
    if is_torch(x):  # take_along_dim does not support symbolic sizes
        return x.gather(axis, indices)
    return namespace(x).take_along_axis(x, indices, axis=axis)


def total(x: Array, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Compute ``Σ x`` over `axis`, in float64 if the library and the device have it.

    Examples
    --------
    >>> import numpy as np
    >>> total(np.ones(3, dtype="float32"), -1).dtype
    dtype('float64')
    """
    dtype = widest_dtype(x)
    return namespace(x).sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


def number_of(shape: tuple[Any, ...], like: Array) -> Any:
    """Return the number of entries of a shape: a float, or if `like` is being recorded a 0-d tensor on its device.

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
