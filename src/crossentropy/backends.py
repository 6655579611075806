"""Which framework an array belongs to, its namespace, and the one door that every array comes in by.

No framework but NumPy is imported here: where there is an array, its framework is already in `sys.modules`.
"""

import math
import sys
from typing import Any

import array_api_compat
import numpy

from crossentropy import _foreign
from crossentropy._tape import Taped, plain

__all__ = [
    "as_array",
    "as_array_like",
    "as_arrays",
    "as_floating",
    "as_indices",
    "as_option",
    "check_static",
    "constant",
    "device",
    "expm1",
    "first_true",
    "index_dtype",
    "is_false",
    "is_jax",
    "is_number",
    "is_numpy",
    "is_recorded",
    "is_taped",
    "is_torch",
    "is_true",
    "is_zero",
    "loss_dtype",
    "namespace",
    "number_of",
    "sum_tolerance",
    "taken_along",
    "total",
    "widest_dtype",
]

Array = Any
PYTHON_VALUES = (bool, int, float, complex, list, tuple, range, type(None))
FOLLOWING = (*PYTHON_VALUES, numpy.generic)  # what is taken over to the library of the arrays beside it
NUMBERS = frozenset("?bBhHiIlLqQefdg")  # dtypes of real numbers, by NumPy's letters


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


def as_array(x: Any, name: str) -> Array:
    """What a user passed, as an array that formulas and kernels can work on.

    Arrays of PyTorch, JAX and NumPy pass as they are, without a copy; those of NumPy are copied where kernels could
    not read them: in another byte order, not aligned, in steps of no whole numbers. Python's and NumPy's numbers,
    lists, tuples, and the series and frames of pandas and polars become what `numpy.asarray` makes of them.

    Parameters
    ----------
    x : anything
    name : str
        The argument it was passed as, for errors.

    Raises
    ------
    TypeError
        If there are no real numbers in it, or it means something else than the numbers in its memory (masks, units,
        what is not computed yet), or it belongs to another library.
    ValueError
        If values are missing.

    Examples
    --------
    >>> as_array([0.25, 0.75], "p")
    array([0.25, 0.75])
    """
    if type(x) is numpy.ndarray:
        usable = x.dtype.char in NUMBERS and x.dtype.isnative and x.flags.aligned
        return x if usable and x.flags.c_contiguous else _foreign.plain(x, name)
    if is_torch(x):
        return _checked_tensor(x, name)
    if is_taped(x):
        return x
    if is_numpy(x) or (isinstance(x, PYTHON_VALUES) and x is not None):
        return _foreign.plain(x, name)
    if is_jax(x) or _foreign.follows_the_standard(x):
        if namespace(x).isdtype(x.dtype, "complex floating"):
            raise TypeError(f"{name} has dtype {x.dtype}, which is none of real numbers; pass {name}.real")
        return x
    table = _foreign.from_table(x, name)
    if table is None:
        raise _foreign.not_an_array_error(x, name)
    return _foreign.plain(table, name)


def as_array_like(x: Any, name: str, like: Array, beside: str = "logits") -> Array:
    """`as_array` of `x` in the library of `like`, an array.

    Python's values and NumPy's numbers are taken over to its device, and NumPy's arrays beside one of JAX.

    Parameters
    ----------
    x, name
        As in `as_array`.
    like : array
    beside : str, default "logits"
        The argument that `like` was passed as.

    Raises
    ------
    TypeError, ValueError
        As `as_array`, and if `x` is an array of another library.

    Examples
    --------
    >>> import numpy as np
    >>> as_array_like(0.5, "temperature", np.ones(2))
    array(0.5)
    """
    if is_torch(like):
        if isinstance(x, PYTHON_VALUES):
            return _tensor_of(x, name, like)
        if is_torch(x):
            return _checked_tensor(x, name)
    array = as_array(x, name)
    if type(array) is numpy.ndarray:
        if type(like) is numpy.ndarray or is_taped(like):
            return array
        if is_jax(like) or isinstance(x, FOLLOWING):
            return _taken_over(array, like)
    if not (is_taped(array) and is_numpy(like)) and namespace(array) is not namespace(like):
        raise _foreign.other_library_error(x, name, like, beside)
    return array


def as_option(x: Any, name: str, like: Array) -> Array:
    """`as_array_like` of weights and whatever else is made of counts, which is often NumPy's beside tensors.

    Examples
    --------
    >>> import numpy as np
    >>> as_option((1, 2), "class_weight", np.ones(2))
    array([1, 2])
    """
    if is_torch(like) and not (is_torch(x) or isinstance(x, PYTHON_VALUES)):
        torch = sys.modules["torch"]
        if torch.compiler.is_compiling():  # where NumPy's arrays are tensors already, of plain numbers
            return torch.as_tensor(x, device=like.device)
        array = as_array(x, name)
        x = _taken_over(array, like) if is_numpy(array) else x
    array = as_array_like(x, name, like)
    return array.to(like.device) if is_torch(like) else array


def as_arrays(**given: Any) -> tuple[Any, list[Array]]:
    """The namespace of arguments by name, and each of them `as_array_like` the first that is an array.

    Examples
    --------
    >>> xp, (p, q) = as_arrays(p=[0.25, 0.75], q=[0.5, 0.5])
    >>> p
    array([0.25, 0.75])
    """
    leading = [name for name, x in given.items() if not isinstance(x, FOLLOWING)] or list(given)
    leader = next((name for name in leading if is_jax(given[name]) or is_taped(given[name])), leading[0])
    like = as_array(given[leader], leader)
    arrays = [like if name == leader else as_array_like(x, name, like, leader) for name, x in given.items()]
    return namespace(like), arrays


def as_floating(x: Array) -> Array:
    """Integers and bools in the widest floating type, as NumPy divides them; a copy only of those.

    Examples
    --------
    >>> import numpy as np
    >>> as_floating(np.asarray([1, 1, 2]))
    array([1., 1., 2.])
    """
    xp = namespace(x)
    return xp.astype(x, widest_dtype(x)) if xp.isdtype(x.dtype, ("bool", "integral")) else x


def _taken_over(array: Array, like: Array) -> Array:
    """A NumPy array as one of another library, on the device of `like`; it shares no memory."""
    if not is_torch(like):
        return namespace(like).asarray(array, device=device(like))
    torch = sys.modules["torch"]
    wide = array.dtype.kind == "f" and array.itemsize >= 8
    own = numpy.array(array, dtype=numpy.float64 if wide else None, order="C")
    return torch.as_tensor(own, dtype=widest_dtype(like) if wide else None, device=like.device)


def _tensor_of(values: Any, name: str, like: Array) -> Array:
    """A tensor beside `like` of Python's numbers, which `torch.compile` can follow."""
    torch = sys.modules["torch"]
    try:
        x = torch.as_tensor(values, device=like.device)
        if x.is_floating_point():  # before it was rounded to PyTorch's default
            x = torch.as_tensor(values, dtype=widest_dtype(like), device=like.device)
    except (TypeError, ValueError, RuntimeError):
        as_array(values, name)  # says what is wrong
        raise
    return _checked_tensor(x, name)


def _checked_tensor(x: Array, name: str) -> Array:
    """A tensor, if it is dense and of real numbers; memory that holds negated ones is written anew."""
    torch = sys.modules["torch"]
    if not torch.compiler.is_compiling() and x.is_neg():
        return x.resolve_neg()
    if x.is_complex():
        raise TypeError(f"{name} has dtype {x.dtype}, which is none of real numbers; pass {name}.real")
    if x.is_nested:
        raise TypeError(f"{name} is nested, of rows of different lengths; pass {name}.to_padded_tensor(0.0)")
    if x.is_floating_point() and x.element_size() == 1:
        raise TypeError(f"{name} has dtype {x.dtype}, which nothing is computed in; pass {name}.float()")
    if x.layout is not torch.strided:
        raise TypeError(f"{name} has layout {x.layout}; pass {name}.to_dense()")
    if x.is_quantized:
        raise TypeError(f"{name} has dtype {x.dtype}, which is quantized; pass {name}.dequantize()")
    return x


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
    xp = namespace(x)
    if is_torch(x):
        return xp.float32 if x.device.type == "mps" else xp.float64
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


def is_true(flag: Array, *, wait: bool = False) -> bool:
    """Whether an array of one bool is known to be true.

    It is not where values cannot be read: in a compiled or traced function, under `vmap`, on a meta device. Nor on
    a GPU, unless it may be waited for.

    Examples
    --------
    >>> import numpy as np
    >>> is_true(np.asarray(True))
    True
    """
    if is_recorded(flag):
        return False
    try:
        if not wait and _is_elsewhere(flag):
            return False
        return bool(flag)
    except (RuntimeError, TypeError):  # what PyTorch, and what JAX, raise for a value they do not have yet
        return False


def is_false(condition: Any) -> bool:
    """Whether a condition on an option is known not to hold: of a number it is, of a traced one it is not.

    Examples
    --------
    >>> is_false(0 < 1), is_false(float("nan") < 1)
    (False, True)
    """
    return not condition if isinstance(condition, bool) else is_true(~condition)


def is_zero(option: Any) -> bool:
    """Whether an option is the number 0, so that its term may be left out; an array is not, whatever it holds.

    Examples
    --------
    >>> import numpy as np
    >>> is_zero(0.0), is_zero(np.zeros(()))
    (True, False)
    """
    return isinstance(option, (int, float)) and option == 0


def check_static(**options: Any) -> None:
    """Refuse options that are traced by JAX where a formula is chosen by their value.

    Examples
    --------
    >>> check_static(order=2)
    """
    for name, value in options.items():
        python = isinstance(value, PYTHON_VALUES)  # torch.compile gets no further
        if not python and is_jax(value) and isinstance(value, sys.modules["jax"].core.Tracer):
            raise TypeError(
                f"{name} is traced, but which formula is computed depends on its value; pass a Python number and, to a "
                f"function under jax.jit, static_argnames={name!r}"
            )


def _is_elsewhere(x: Array) -> bool:
    """Whether `x` is computed by a device that runs behind this program."""
    if is_torch(x):
        return bool(x.device.type != "cpu")
    return is_jax(x) and any(place.platform != "cpu" for place in x.devices())


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
