"""TensorFlow's tensors as arrays of the array API: eager, in a `tf.function`, and compiled by XLA.

TensorFlow has no namespace of the standard, promotes no dtypes, and does not know every size while it traces a
function. So a public function wraps its tensors (`wrapped`), computes with `TensorFlowArray`, and unwraps what it
returns (`unwrapped`). Every operation is one of TensorFlow's, which differentiates them all.
"""

import builtins
import operator
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf
from array_api_compat import numpy as of_numpy

from crossentropy._backends.types import PYTHON_VALUES

__all__ = ["NAMESPACE", "Size", "TensorFlowArray", "unwrapped", "wrapped"]


class Size:
    """A size that is not known while a function is traced; it is taken to be equal to any other but 0."""

    __slots__ = ("tensor",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) or (isinstance(other, int) and other > 0)

    def __mul__(self, other: Any) -> "Size":
        return Size(self.tensor * (other.tensor if isinstance(other, Size) else other))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return "?"


class TensorFlowArray:
    """A tensor with the attributes, operators and dtypes of the array API."""

    __slots__ = ("value",)
    __array_ufunc__ = None  # so that NumPy leaves an operator to this class
    __hash__ = None  # type: ignore[assignment]
    device = None

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[Any, ...]:
        sizes = self.value.shape
        if sizes.rank is None:
            raise ValueError("the number of axes of a tensor is unknown; pass tf.ensure_shape(x, (None, 10))")
        return tuple(Size(tf.shape(self.value)[i]) if n is None else n for i, n in enumerate(sizes))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return _dtype_of(self.value)

    @property
    def is_traced(self) -> bool:
        """Tell whether the values are not known yet."""
        return not hasattr(self.value, "numpy")

    def constant(self) -> "TensorFlowArray":
        """Return the same values, through which no gradient flows."""
        return TensorFlowArray(tf.stop_gradient(self.value))

    def item(self) -> Any:
        """Return the value of an eager tensor of one number."""
        return self.value.numpy().item()

    def __array_namespace__(self, api_version: str | None = None) -> "Namespace":
        return NAMESPACE

    def __getitem__(self, key: Any) -> "TensorFlowArray":
        if isinstance(key, TensorFlowArray):
            return TensorFlowArray(tf.boolean_mask(self.value, key.value))
        return TensorFlowArray(self.value[key])

    def __iter__(self) -> Any:
        return (self[i] for i in range(self.shape[0]))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __repr__(self) -> str:
        return repr(self.value)


def wrapped(x: Any) -> Any:
    """Wrap a tensor or a variable, also inside tuples, lists and dataclasses such as targets and links.

    Examples
    --------
    >>> wrapped((tf.constant([1.0, 2.0]), 3))[0].shape
    (2,)
    """
    return TensorFlowArray(tf.convert_to_tensor(x)) if _is_tensor(x) else _mapped(wrapped, x)


def unwrapped(x: Any) -> Any:
    """Undo `wrapped`.

    Examples
    --------
    >>> x = tf.constant([1.0, 2.0])
    >>> unwrapped([wrapped(x), 3])[0] is x
    True
    """
    return x.value if isinstance(x, TensorFlowArray) else _mapped(unwrapped, x)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, tf.Variable) or hasattr(type(x), "__tf_tensor__")  # a variable of Keras has it too


def _mapped(function: Callable[[Any], Any], x: Any) -> Any:
    """Apply `function` to what is inside a tuple, a list or a dataclass; the same object if nothing changes."""
    names: Sequence[str] = ()
    if type(x) in (tuple, list) or hasattr(x, "_fields"):
        before: Sequence[Any] = x
    elif is_dataclass(x) and not isinstance(x, type):
        names = [field.name for field in fields(x) if hasattr(x, field.name)]
        before = [getattr(x, name) for name in names]
    else:
        return x
    after = [function(part) for part in before]
    if builtins.all(map(operator.is_, before, after)):
        return x
    if not names:
        return type(x)(*after) if hasattr(x, "_fields") else type(x)(after)
    copy = object.__new__(type(x))  # frozen ones too, without a second check of their values
    for name, part in zip(names, after, strict=True):
        object.__setattr__(copy, name, part)
    return copy


# ------------------------------------------------------------------------------------------------- conversions


def _dtype_of(tensor: Any) -> Any:
    """Return NumPy's dtype of a tensor."""
    return np.dtype(tensor.dtype.as_numpy_dtype)


def _tensor(x: Any, dtype: Any = None) -> Any:
    """Return the tensor of an array, a size or numbers, in this dtype if one is given."""
    if isinstance(x, (TensorFlowArray, Size)):
        x = x.value if isinstance(x, TensorFlowArray) else x.tensor
    if not _is_tensor(x):
        return tf.convert_to_tensor(np.asarray(x, dtype=dtype))
    return x if dtype is None or _dtype_of(x) == dtype else tf.cast(x, dtype)


def _promoted(*arguments: Any) -> list[Any]:
    """Return tensors of the dtype that the arrays promote to; Python numbers and sizes take it on."""
    dtypes = [
        _dtype_of(_tensor(x)) if _is_tensor(x) else x.dtype
        for x in arguments
        if not isinstance(x, (*PYTHON_VALUES, Size))
    ]
    dtype = np.result_type(*dtypes) if dtypes else None
    return [_tensor(x, dtype) for x in arguments]


def _sizes(shape: Any) -> Any:
    """Return a shape for TensorFlow."""
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if builtins.any(isinstance(n, Size) for n in shape):
        return tf.stack([_tensor(n, np.int32) for n in shape])
    return shape


def _elementwise(function: Callable[..., Any]) -> Callable[..., TensorFlowArray]:
    return lambda *arguments: TensorFlowArray(function(*_promoted(*arguments)))


def _of_one(function: Callable[..., Any]) -> Callable[..., TensorFlowArray]:
    return lambda x: TensorFlowArray(function(_tensor(x)))


def _reduction(function: Callable[..., Any]) -> Callable[..., TensorFlowArray]:
    def reduce(x: Any, axis: Any = None, *, keepdims: bool = False, dtype: Any = None) -> TensorFlowArray:
        return TensorFlowArray(function(_tensor(x, dtype), axis=axis, keepdims=keepdims))

    return reduce


def _place(function: Callable[..., Any]) -> Callable[..., TensorFlowArray]:
    def place(x: Any, axis: int | None = None, *, keepdims: bool = False) -> TensorFlowArray:
        tensor = _tensor(x)
        tensor, axis = (tf.reshape(tensor, (-1,)), 0) if axis is None else (tensor, axis)
        found = function(tensor, axis=axis)
        return TensorFlowArray(tf.expand_dims(found, axis) if keepdims else found)

    return place


# --------------------------------------------------------------------------------------------------- namespace


def _asarray(x: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> TensorFlowArray:
    tensor = _tensor(x, dtype)
    return TensorFlowArray(tf.identity(tensor) if copy else tensor)


def _astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(_tensor(x, dtype))


def _full(shape: Any, value: Any, *, dtype: Any = None, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.broadcast_to(_tensor(value, dtype), _sizes(shape)))


def _zeros(shape: Any, *, dtype: Any = np.float64, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.zeros(_sizes(shape), dtype))


def _ones(shape: Any, *, dtype: Any = np.float64, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.ones(_sizes(shape), dtype))


def _full_like(x: Any, value: Any, *, dtype: Any = None, device: Any = None) -> TensorFlowArray:
    tensor = _tensor(x)
    return TensorFlowArray(tf.broadcast_to(_tensor(value, dtype or _dtype_of(tensor)), tf.shape(tensor)))


def _zeros_like(x: Any, *, dtype: Any = None, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.zeros_like(_tensor(x), dtype))


def _ones_like(x: Any, *, dtype: Any = None, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.ones_like(_tensor(x), dtype))


def _arange(*bounds: Any, dtype: Any = None, device: Any = None) -> TensorFlowArray:
    return TensorFlowArray(tf.range(*[_tensor(n, dtype or np.int64) for n in bounds]))


def _mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> TensorFlowArray:
    return TensorFlowArray(tf.reduce_mean(_tensor(x), axis=axis, keepdims=keepdims))


def _clip(x: Any, min: Any = None, max: Any = None) -> TensorFlowArray:
    x = x if min is None else FUNCTIONS["maximum"](x, min)
    return x if max is None else FUNCTIONS["minimum"](x, max)


def _reshape(x: Any, shape: Any, *, copy: bool | None = None) -> TensorFlowArray:
    return TensorFlowArray(tf.reshape(_tensor(x), _sizes(shape)))


def _broadcast_to(x: Any, shape: Any) -> TensorFlowArray:
    return TensorFlowArray(tf.broadcast_to(_tensor(x), _sizes(shape)))


def _concat(arrays: Sequence[Any], *, axis: int | None = 0) -> TensorFlowArray:
    tensors = _promoted(*arrays)
    if axis is None:
        return TensorFlowArray(tf.concat([tf.reshape(x, (-1,)) for x in tensors], 0))
    return TensorFlowArray(tf.concat(tensors, axis))


def _stack(arrays: Sequence[Any], *, axis: int = 0) -> TensorFlowArray:
    return TensorFlowArray(tf.stack(_promoted(*arrays), axis))


def _take(x: Any, indices: Any, *, axis: int = 0) -> TensorFlowArray:
    return TensorFlowArray(tf.gather(_tensor(x), _tensor(indices), axis=axis))


def _take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> TensorFlowArray:
    values, places = (tf.experimental.numpy.moveaxis(_tensor(a), axis, -1) for a in (x, indices))
    taken = tf.gather(values, places, axis=-1, batch_dims=values.shape.rank - 1)
    return TensorFlowArray(tf.experimental.numpy.moveaxis(taken, -1, axis))


def _argsort(x: Any, *, axis: int = -1, descending: bool = False, stable: bool = True) -> TensorFlowArray:
    direction = "DESCENDING" if descending else "ASCENDING"
    return TensorFlowArray(tf.cast(tf.argsort(_tensor(x), axis, direction, stable=True), tf.int64))


def _searchsorted(x: Any, values: Any, *, side: str = "left") -> TensorFlowArray:
    sorted_values, values = _promoted(x, values)
    flat = tf.searchsorted(sorted_values, tf.reshape(values, (-1,)), side, tf.int64)
    return TensorFlowArray(tf.reshape(flat, tf.shape(values)))


def _matmul(x: Any, y: Any) -> TensorFlowArray:
    return TensorFlowArray(tf.experimental.numpy.matmul(*_promoted(x, y)))


def _inv(x: Any) -> TensorFlowArray:
    try:
        return TensorFlowArray(tf.linalg.inv(_tensor(x)))
    except tf.errors.InvalidArgumentError as error:
        raise np.linalg.LinAlgError(str(error)) from None


def _isdtype(dtype: Any, kind: Any) -> bool:
    if str(dtype) == "bfloat16":  # which NumPy does not know as a number
        return builtins.any(
            k in ("real floating", "numeric", dtype) for k in (kind if isinstance(kind, tuple) else (kind,))
        )
    return bool(of_numpy.isdtype(dtype, kind))  # type: ignore[attr-defined]


#: The derivative of |x| at 0 is 1, and not 0 as that of `tf.abs`: ``min(x, 0) − ln(1 + e^(−|x|))`` needs one side's.
UNARY = {
    "abs": lambda x: tf.where(x < 0, -x, x), "exp": tf.exp, "expm1": tf.math.expm1, "floor": tf.floor,
    "isfinite": tf.math.is_finite, "isinf": tf.math.is_inf, "isnan": tf.math.is_nan,
    "log": tf.math.log, "log1p": tf.math.log1p, "logical_not": tf.logical_not,
    "matrix_transpose": tf.linalg.matrix_transpose, "negative": tf.negative,
    "round": tf.round, "sign": tf.sign, "sqrt": tf.sqrt, "square": tf.square, "tanh": tf.tanh,
    "log10": lambda x: tf.math.log(x) / np.log(10.0).astype(_dtype_of(x)),
}  # fmt: skip
BINARY = {
    "add": tf.add, "bitwise_and": tf.logical_and, "bitwise_or": tf.logical_or, "divide": tf.truediv,
    "equal": tf.equal, "floor_divide": tf.math.floordiv, "greater": tf.greater,
    "greater_equal": tf.greater_equal, "less": tf.less, "less_equal": tf.less_equal,
    "logical_and": tf.logical_and, "logical_or": tf.logical_or, "maximum": tf.maximum, "minimum": tf.minimum,
    "multiply": tf.multiply, "not_equal": tf.not_equal, "pow": tf.pow, "remainder": tf.math.floormod,
    "subtract": tf.subtract,
}  # fmt: skip
FUNCTIONS: dict[str, Any] = {
    **{name: _of_one(function) for name, function in UNARY.items()},
    **{name: _elementwise(function) for name, function in BINARY.items()},
    "where": lambda condition, a, b: TensorFlowArray(tf.where(_tensor(condition), *_promoted(a, b))),
    "all": _reduction(tf.reduce_all), "any": _reduction(tf.reduce_any), "max": _reduction(tf.reduce_max),
    "mean": _mean, "min": _reduction(tf.reduce_min), "sum": _reduction(tf.reduce_sum),
    "argmax": _place(partial(tf.argmax, output_type=tf.int64)),
    "argmin": _place(partial(tf.argmin, output_type=tf.int64)),
    "asarray": _asarray, "astype": _astype, "full": _full, "full_like": _full_like, "ones": _ones,
    "ones_like": _ones_like, "zeros": _zeros, "zeros_like": _zeros_like, "arange": _arange,
    "broadcast_to": _broadcast_to, "clip": _clip, "concat": _concat, "reshape": _reshape, "stack": _stack,
    "expand_dims": lambda x, axis=0: TensorFlowArray(tf.expand_dims(_tensor(x), axis)),
    "squeeze": lambda x, axis: TensorFlowArray(tf.squeeze(_tensor(x), axis)),
    "permute_dims": lambda x, axes: TensorFlowArray(tf.transpose(_tensor(x), axes)),
    "cumulative_sum": lambda x, axis=0: TensorFlowArray(tf.cumsum(_tensor(x), axis)),
    "linalg": SimpleNamespace(inv=_inv), "argsort": _argsort, "matmul": _matmul, "searchsorted": _searchsorted,
    "take": _take,
    "take_along_axis": _take_along_axis, "isdtype": _isdtype, "finfo": np.finfo, "iinfo": np.iinfo,
    "result_type": lambda *values: np.result_type(*(getattr(x, "dtype", x) for x in values)),
    "bool": np.bool_, "float16": np.float16, "float32": np.float32, "float64": np.float64, "int8": np.int8,
    "int16": np.int16, "int32": np.int32, "int64": np.int64, "uint8": np.uint8,
}  # fmt: skip


class Namespace:
    """The array-API namespace of `TensorFlowArray`."""

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"the functions for TensorFlow's tensors have no {name}")
        return FUNCTIONS[name]


NAMESPACE = Namespace()

OPERATORS = {
    "add": "add", "and": "bitwise_and", "floordiv": "floor_divide", "mod": "remainder", "mul": "multiply",
    "matmul": "matmul", "or": "bitwise_or", "pow": "pow", "sub": "subtract", "truediv": "divide",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ge": "greater_equal", "gt": "greater", "le": "less_equal", "lt": "less", "ne": "not_equal",
}  # fmt: skip


def _add_operators() -> None:
    """Give `TensorFlowArray` the operators of its namespace."""
    for name, function in {**OPERATORS, **COMPARISONS}.items():
        setattr(TensorFlowArray, f"__{name}__", lambda a, b, f=FUNCTIONS[function]: f(a, b))
    for name, function in OPERATORS.items():
        setattr(TensorFlowArray, f"__r{name}__", lambda a, b, f=FUNCTIONS[function]: f(b, a))
    for name, function in {"abs": "abs", "invert": "logical_not", "neg": "negative"}.items():
        setattr(TensorFlowArray, f"__{name}__", lambda a, f=FUNCTIONS[function]: f(a))


_add_operators()
