"""Conversion of what users pass to arrays that formulas and kernels can read: every input comes through here."""

import sys
from typing import Any

import numpy

from crossentropy._arguments import foreign
from crossentropy._backends import (
    PYTHON_VALUES,
    Array,
    device,
    is_jax,
    is_numpy,
    is_taped,
    is_torch,
    namespace,
    takes_numpy,
    widest_dtype,
)
from crossentropy._backends.dtypes import is_kind

# Values that are converted to the library of the arrays beside them.
FOLLOWING = (*PYTHON_VALUES, numpy.generic)
NUMBERS = frozenset("?bBhHiIlLqQefdg")  # dtypes of real numbers, by NumPy's letters


def as_array(x: Any, name: str) -> Array:
    """Convert what a user passed to an array that formulas and kernels can read.

    Arrays of PyTorch, JAX, TensorFlow and NumPy pass unchanged, without a copy. NumPy arrays are copied only where
    kernels could not read them: another byte order, misaligned, strides that are no multiple of the item size. Python
    and NumPy numbers, lists, tuples, and the series and frames of pandas and polars are converted by `numpy.asarray`.

    Parameters
    ----------
    x : anything
    name : str
        The name of the argument, for errors.

    Raises
    ------
    TypeError
        If it does not hold real numbers, or stands for more than the numbers in its memory (masks, units, lazy
        computation), or belongs to another library.
    ValueError
        If values are missing.

    Examples
    --------
    >>> as_array([0.25, 0.75], "p")
    array([0.25, 0.75])
    """
    if type(x) is numpy.ndarray:
        usable = x.dtype.char in NUMBERS and x.dtype.isnative and x.flags.aligned
        return x if usable and x.flags.c_contiguous else foreign.plain(x, name)
    if is_torch(x):
        return _checked_tensor(x, name)
    if is_taped(x):
        return x
    if is_numpy(x) or (isinstance(x, PYTHON_VALUES) and x is not None):
        return foreign.plain(x, name)
    if is_jax(x) or foreign.follows_the_standard(x):
        if namespace(x).isdtype(x.dtype, "complex floating"):
            raise TypeError(f"{name} has dtype {x.dtype}, which is none of real numbers; pass {name}.real")
        return x
    table = foreign.from_table(x, name)
    if table is None:
        raise foreign.not_an_array_error(x, name)
    return foreign.plain(table, name)


def as_numpy(x: Any, name: str) -> Any:
    """Convert what a user passed to a NumPy array, from any library and device, half precision to float32.

    Raises
    ------
    TypeError, ValueError
        As `as_array` does.

    Examples
    --------
    >>> as_numpy([0.25, 0.75], "p")
    array([0.25, 0.75])
    """
    if is_torch(x):
        x = x.detach().cpu()
        x = (x.float() if x.dtype.is_floating_point and x.dtype.itemsize < 4 else x).numpy()
    array = numpy.asarray(as_array(x, name))
    if array.dtype.kind == "V" or "bfloat16" in str(array.dtype):
        array = array.astype(numpy.float32)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}; pass an array of numbers")
    return array


def as_array_like(x: Any, name: str, like: Array, beside: str = "logits") -> Array:
    """Convert `x` as `as_array` does, to the library of the array `like`, the argument called `beside`.

    Python and NumPy numbers move to the device of `like`; so do NumPy arrays if `like` is one of JAX or TensorFlow. An
    array of another library raises TypeError.

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
        if takes_numpy(like) or isinstance(x, FOLLOWING):
            return _taken_over(array, like)
    if not (is_taped(array) and is_numpy(like)) and namespace(array) is not namespace(like):
        raise foreign.other_library_error(x, name, like, beside)
    return array


def as_option(x: Any, name: str, like: Array) -> Array:
    """Convert an option such as a weight as `as_array_like` does; beside tensors a NumPy array is converted too.

    >>> import numpy as np
    >>> as_option((1, 2), "class_weight", np.ones(2))
    array([1, 2])
    """
    if is_torch(like) and is_torch(x):
        return _checked_tensor(x, name).to(like.device)
    if is_torch(like) and not isinstance(x, PYTHON_VALUES):
        torch = sys.modules["torch"]
        if torch.compiler.is_compiling():  # here NumPy arrays are traced as tensors already
            return torch.as_tensor(x, device=like.device)
        array = as_array(x, name)
        x = _taken_over(array, like) if is_numpy(array) else x
    array = as_array_like(x, name, like)
    return array.to(like.device) if is_torch(like) else array


def as_arrays(**arguments: Any) -> tuple[Any, list[Array]]:
    """Convert arguments passed by name to the library of the first array among them; returns namespace and arrays.

    >>> xp, (p, q) = as_arrays(p=[0.25, 0.75], q=[0.5, 0.5])
    >>> p
    array([0.25, 0.75])
    """
    # What most calls have: there is no library to be chosen.
    values = list(arguments.values())
    if all(type(x) is numpy.ndarray for x in values):
        return namespace(values[0]), [as_array(x, name) for name, x in arguments.items()]
    if all(map(is_torch, values)):
        return namespace(values[0]), [_checked_tensor(x, name) for name, x in arguments.items()]
    leading = [name for name, x in arguments.items() if not isinstance(x, FOLLOWING)] or list(arguments)
    leader = next(
        (name for name in leading if takes_numpy(arguments[name]) or is_taped(arguments[name])), leading[0]
    )
    like = as_array(arguments[leader], leader)
    arrays = [
        like if name == leader else as_array_like(x, name, like, leader) for name, x in arguments.items()
    ]
    return namespace(like), arrays


def as_floating(x: Array) -> Array:
    """Convert integers and bools to the widest floating dtype, as NumPy's division does; others pass unchanged.

    >>> import numpy as np
    >>> as_floating(np.asarray([1, 1, 2]))
    array([1., 1., 2.])
    """
    return namespace(x).astype(x, widest_dtype(x)) if is_kind(x, ("bool", "integral")) else x


def _taken_over(array: Array, like: Array) -> Array:
    """Copy a NumPy array to the library and the device of `like`."""
    if not is_torch(like):
        return namespace(like).asarray(array, device=device(like))
    torch = sys.modules["torch"]
    wide = array.dtype.kind == "f" and array.itemsize >= 8
    copy = numpy.array(array, dtype=numpy.float64 if wide else None, order="C")
    return torch.as_tensor(copy, dtype=widest_dtype(like) if wide else None, device=like.device)


def _tensor_of(values: Any, name: str, like: Array) -> Array:
    """Make a tensor of Python numbers on the device of `like`, in a way that `torch.compile` can trace."""
    torch = sys.modules["torch"]
    try:
        x = torch.as_tensor(values, device=like.device)
        if x.is_floating_point():  # again from the values, not rounded to PyTorch's default dtype
            x = torch.as_tensor(values, dtype=widest_dtype(like), device=like.device)
    except (TypeError, ValueError, RuntimeError):
        as_array(values, name)  # raises the better error
        raise
    return _checked_tensor(x, name)


def _checked_tensor(x: Array, name: str) -> Array:
    """Return the tensor if it is dense and of real numbers, else raise TypeError; negative views are resolved."""
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
