"""Reverse-mode derivatives of NumPy arrays: a `Taped` array records its inputs and the pullback to each of them.

A formula written against the array-API namespace of its inputs runs on a `Taped` array as on any other. `FUNCTIONS`
holds the functions of that namespace, each with its pullback: for ``y = f(x)``, the map from the gradient with respect
to ``y`` to that with respect to ``x``. Values without a derivative (labels, masks, indices) stay NumPy arrays.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from heapq import heappop, heappush
from itertools import accumulate, count
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from crossentropy._backends.numpy_products import matmul
from crossentropy._backends.types import Array

__all__ = ["Taped", "gradient_of", "node", "plain", "several"]

Pullback = Callable[[Array], Array]

_orders = count()


def _method(name: str) -> Callable[..., Array]:
    """Make a method of a function of the namespace."""
    return lambda self, *arguments, **options: FUNCTIONS[name](self, *arguments, **options)


class Taped(NDArrayOperatorsMixin):
    """A NumPy array with the arrays it was computed from, each with its pullback; without any it is a root."""

    __slots__ = ("order", "sources", "value")
    device = "cpu"

    def __init__(self, value: Array, sources: tuple[tuple["Taped", Pullback], ...] = ()) -> None:
        self.value, self.sources, self.order = value, sources, next(_orders)

    shape, ndim, size, dtype = (
        property(attrgetter(f"value.{x}")) for x in ("shape", "ndim", "size", "dtype")
    )
    T = property(lambda self: FUNCTIONS["permute_dims"](self))
    astype, reshape, sum, mean, max, min, __getitem__ = map(
        _method, ("astype", "reshape", "sum", "mean", "max", "min", "getitem")
    )

    def __array_namespace__(self, api_version: str | None = None) -> "Namespace":
        return NAMESPACE

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Array:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if options:
            raise TypeError(_refusal(f"numpy.{name} with {', '.join(options)}"))
        return _function(name)(*inputs)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Array:
        return _function(function.__name__)(*inputs, **options)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise TypeError(_refusal("numpy.asarray"))

    def __repr__(self) -> str:
        return f"Taped({self.value!r})"

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)


def plain(x: Any) -> Any:
    """Strip the tape from `x`, and from the items of a list or tuple: NumPy arrays without derivatives."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    return x.value if isinstance(x, Taped) else x


def node(value: Array, *sources: tuple[Any, Pullback]) -> Array:
    """Record `value` as computed from arrays, each with its pullback; unchanged if none of them is taped."""
    taped = tuple((x, pull) for x, pull in sources if isinstance(x, Taped))
    return Taped(value, taped) if taped else value


def several(values: Sequence[Array], source: Taped, pull: Callable[[list[Array]], Array]) -> list[Array]:
    """Record several arrays as computed from `source` at once, by one pullback of all their gradients."""
    ends = list(accumulate(x.size for x in values))

    def pull_all(g: Array) -> Array:
        parts = np.split(g, ends[:-1])
        return pull([part.reshape(x.shape) for part, x in zip(parts, values, strict=True)])

    joint = Taped(np.concatenate([x.reshape(-1) for x in values]), ((source, pull_all),))
    return [joint[end - x.size : end].reshape(x.shape) for x, end in zip(values, ends, strict=True)]


@np.errstate(all="ignore")  # infinities are valid results
def gradient_of(value: Taped, root: Taped) -> Array | None:
    """Differentiate ``Σ value`` with respect to `root`, summing in float64; None if it does not depend on it."""
    nodes, gradients, heap = {value.order: value}, {value.order: np.ones(value.shape)}, [-value.order]
    while heap:  # latest first, so that an array's gradient is complete when it is reached
        order = -heappop(heap)
        at, g = nodes.pop(order), gradients.pop(order)
        if at is root:
            return g.astype(root.dtype, copy=not g.flags.writeable) if g.ndim else np.array(g, root.dtype)
        for source, pull in at.sources:
            part = pull(g)
            if source.order in nodes:
                gradients[source.order] = np.add(gradients[source.order], part, dtype=np.float64)
            else:
                nodes[source.order], gradients[source.order] = source, part
                heappush(heap, -source.order)
    return None


EXTREME = (  # two equal arguments get half of the gradient each
    lambda g, y, a, b: g * ((a == y) / (1.0 + (a == b))),
    lambda g, y, a, b: g * ((b == y) / (1.0 + (a == b))),
)
# name: (function, a pullback for each argument); a pullback takes the gradient g, the value y and the arguments
ELEMENTWISE: dict[str, tuple[Any, ...]] = {
    "abs": (np.abs, lambda g, y, x: np.where(x < 0, -g, g)),
    "exp": (np.exp, lambda g, y, x: g * y),
    "expm1": (np.expm1, lambda g, y, x: g * np.exp(x)),
    "log": (np.log, lambda g, y, x: g / x),
    "log1p": (np.log1p, lambda g, y, x: g / (1 + x)),
    "negative": (np.negative, lambda g, y, x: -g),
    "sqrt": (np.sqrt, lambda g, y, x: g / (2 * y)),
    "square": (np.square, lambda g, y, x: 2 * g * x),
    "tanh": (np.tanh, lambda g, y, x: g * (1 - y * y)),
    "add": (np.add, lambda g, y, a, b: g, lambda g, y, a, b: g),
    "subtract": (np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g),
    "multiply": (np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "divide": (np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    "pow": (
        np.power,
        lambda g, y, a, b: np.where(b == 0, 0.0, g * b * a ** np.where(b == 0, 1.0, b - 1.0)),
        lambda g, y, a, b: np.where(y == 0, 0.0, g * y * np.log(np.where(y == 0, 1.0, a))),
    ),
    "logaddexp": (np.logaddexp, lambda g, y, a, b: g * np.exp(a - y), lambda g, y, a, b: g * np.exp(b - y)),
    "maximum": (np.maximum, *EXTREME),
    "minimum": (np.minimum, *EXTREME),
    "where": (
        np.where,
        None,
        lambda g, y, c, a, b: np.where(c, g, 0),
        lambda g, y, c, a, b: np.where(c, 0, g),
    ),
}
# Functions whose derivative is 0 wherever it exists.
CONSTANT = {
    "all", "any", "argmax", "argmin", "argsort", "bitwise_and", "bitwise_or", "count_nonzero", "equal", "floor",
    "greater", "greater_equal", "isdtype", "isfinite", "isinf", "isnan", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "ndim", "not_equal", "ones_like", "result_type", "searchsorted",
    "shape", "sign", "size", "zeros_like",
}  # fmt: skip
MAKING = {"arange", "eye", "finfo", "full", "iinfo", "linspace", "ones", "zeros"}  # from numbers, not arrays
# NumPy's names of functions that the array API calls otherwise.
ALIASES = {
    "absolute": "abs", "amax": "max", "amin": "min", "concatenate": "concat", "cumsum": "cumulative_sum",
    "power": "pow", "transpose": "permute_dims", "true_divide": "divide",
}  # fmt: skip
BASIC_INDEX = (int, slice, type(None), type(...))
FUNCTIONS: dict[str, Callable[..., Array]] = {}


def _elementwise(function: Callable[..., Array], *pullbacks: Callable[..., Array]) -> Callable[..., Array]:
    """Record an elementwise function; the gradients are summed over the axes that broadcasting added."""

    @np.errstate(all="ignore")
    def computed(*arguments: Any) -> Array:
        values = plain(arguments)
        y = function(*values)
        pairs = zip(arguments, pullbacks, strict=True)
        pulls = [lambda g, x=x, pull=pull: _summed_to(pull(g, y, *values), x.shape) for x, pull in pairs]
        return node(y, *zip(arguments, pulls, strict=True))

    return computed


FUNCTIONS |= {name: _elementwise(*row) for name, row in ELEMENTWISE.items()}


def _summed_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum `g` over the axes that broadcasting added to `shape` or stretched."""
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 != g.shape[i])
    return g.sum(axis=stretched, keepdims=True) if stretched else g


def _listed(function: Callable[..., Array]) -> Callable[..., Array]:
    """Enter a function in `FUNCTIONS`, by its name without the underscores."""
    FUNCTIONS[function.__name__.strip("_")] = function
    return function


def _with_axis(g: Array, axis: Any, keepdims: bool) -> Array:
    """Restore the reduced axes of the gradient of a reduction, with size 1."""
    return g if axis is None or keepdims else np.expand_dims(g, axis)


@_listed
def _sum(x: Any, axis: Any = None, *, dtype: Any = None, keepdims: bool = False) -> Array:
    y = np.sum(plain(x), axis=axis, dtype=dtype, keepdims=keepdims)
    return node(y, (x, lambda g: np.broadcast_to(_with_axis(g, axis, keepdims), x.shape)))


@_listed
def _mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Array:
    y = np.mean(plain(x), axis=axis, keepdims=keepdims)
    return node(y, (x, lambda g: np.broadcast_to(_with_axis(g, axis, keepdims) * (y.size / x.size), x.shape)))


@_listed
def _max(x: Any, axis: Any = None, *, keepdims: bool = False, _of: Callable[..., Array] = np.max) -> Array:
    y = _of(plain(x), axis=axis, keepdims=keepdims)

    def pull(g: Array) -> Array:
        largest = x.value == _with_axis(y, axis, keepdims)  # equal ones share the gradient
        return _with_axis(g, axis, keepdims) * largest / np.sum(largest, axis=axis, keepdims=True)

    return node(y, (x, pull))


FUNCTIONS["min"] = partial(_max, _of=np.min)


@_listed
def _cumulative_sum(x: Any, axis: int) -> Array:
    y = np.cumsum(plain(x), axis=axis)
    return node(y, (x, lambda g: np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)))


@_listed
def _clip(x: Any, min: Any = None, max: Any = None) -> Array:
    x = x if min is None else FUNCTIONS["where"](plain(x) < min, min, x)
    return x if max is None else FUNCTIONS["where"](plain(x) > max, max, x)


@_listed
def _astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Array:
    y = plain(x).astype(dtype, copy=copy)
    return y if y.dtype.kind in "biu" else node(y, (x, lambda g: g))


@_listed
def _asarray(x: Any, *, dtype: Any = None, copy: bool | None = None, device: Any = None) -> Array:
    if isinstance(x, Taped):
        return _astype(x, dtype or x.dtype)
    return np.array(x, dtype=dtype) if copy else np.asarray(x, dtype=dtype)


@_listed
def _full_like(x: Any, value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    y = np.full_like(plain(x), plain(value), dtype=dtype)
    return node(y, (value, lambda g: _summed_to(g, value.shape)))


@_listed
def _reshape(x: Any, shape: Any, *more: int, copy: Any = None) -> Array:
    y = np.reshape(plain(x), (shape, *more) if more else shape)
    return node(y, (x, lambda g: np.reshape(g, x.shape)))


@_listed
def _expand_dims(x: Any, axis: Any = 0) -> Array:
    return _reshape(x, np.expand_dims(plain(x), axis).shape)


@_listed
def _squeeze(x: Any, axis: Any = None) -> Array:
    return _reshape(x, np.squeeze(plain(x), axis).shape)


@_listed
def _permute_dims(x: Any, axes: Any = None) -> Array:
    axes = tuple(axes or reversed(range(x.ndim)))
    return node(np.transpose(plain(x), axes), (x, lambda g: np.transpose(g, np.argsort(axes))))


@_listed
def _matrix_transpose(x: Any) -> Array:
    return node(np.swapaxes(plain(x), -1, -2), (x, lambda g: np.swapaxes(g, -1, -2)))


@_listed
def _broadcast_to(x: Any, shape: tuple[int, ...]) -> Array:
    return node(np.broadcast_to(plain(x), shape), (x, lambda g: _summed_to(g, x.shape)))


@_listed
def _concat(arrays: Sequence[Any], axis: int | None = 0) -> Array:
    if axis is None:
        return _concat([_reshape(x, (-1,)) for x in arrays])
    ends = list(accumulate(x.shape[axis] for x in arrays))
    pulls = [
        lambda g, end=end, x=x: np.take(g, range(end - x.shape[axis], end), axis)
        for x, end in zip(arrays, ends, strict=True)
    ]
    return node(np.concatenate(plain(list(arrays)), axis=axis), *zip(arrays, pulls, strict=True))


@_listed
def _stack(arrays: Sequence[Any], axis: int = 0) -> Array:
    return _concat([_expand_dims(x, axis) for x in arrays], axis)


def _may_repeat(index: Any) -> bool:
    """Tell whether an index may read an entry several times: integers in an array or list."""
    return not (isinstance(index, BASIC_INDEX) or np.asarray(index).dtype == bool)


@_listed
def _getitem(x: Any, key: Any) -> Array:
    key = plain(key)

    def pull(g: Array) -> Array:
        whole = np.zeros(x.shape)
        if any(map(_may_repeat, key if isinstance(key, tuple) else (key,))):
            np.add.at(whole, key, g)
        else:
            whole[key] = g
        return whole

    return node(plain(x)[key], (x, pull))


@_listed
def _take(x: Any, indices: Array, axis: int | None = None) -> Array:
    x, axis = (_reshape(x, (-1,)), 0) if axis is None else (x, axis % x.ndim)
    return _getitem(x, (slice(None),) * axis + (np.asarray(indices),))


@_listed
def _take_along_axis(x: Any, indices: Array, axis: int = -1) -> Array:
    key: list[Any] = list(np.indices(indices.shape, sparse=True))
    key[axis] = indices
    return _getitem(x, tuple(key))


@_listed
def _matmul(x: Any, y: Any) -> Array:
    if y.ndim == 1:
        return _matmul(x, _expand_dims(y, -1))[..., 0]
    if x.ndim == 1:
        return _matmul(_expand_dims(x, 0), y)[..., 0, :]
    a, b = plain(x), plain(y)
    return node(
        matmul(a, b),
        (x, lambda g: _summed_to(matmul(g, np.swapaxes(b, -1, -2)), a.shape)),
        (y, lambda g: _summed_to(matmul(np.swapaxes(a, -1, -2), g), b.shape)),
    )


@cache
def _named(name: str) -> Any:
    """Look up a member of the namespace of `Taped` arrays."""
    from array_api_compat import numpy

    if name in FUNCTIONS:
        return FUNCTIONS[name]
    function = getattr(numpy, name)
    if name in CONSTANT:
        return lambda *arguments, **options: function(*map(plain, arguments), **options)
    if name in MAKING or isinstance(function, type) or not callable(function):
        return function
    raise AttributeError(_refusal(name))


class Namespace:
    """The array-API namespace of `Taped` arrays."""

    def __getattr__(self, name: str) -> Any:
        return _named(name)


NAMESPACE = Namespace()


def _function(name: str) -> Callable[..., Array]:
    """Look up the taped counterpart of a NumPy function by NumPy's name."""
    name = ALIASES.get(name, name)
    if name in FUNCTIONS or name in CONSTANT:
        return _named(name)
    raise TypeError(_refusal(f"numpy.{name}"))


def _refusal(name: str) -> str:
    """Write the error for a function without a derivative here."""
    return (
        f"loss_and_gradient has no derivative of {name}. Write the loss with {', '.join(sorted(FUNCTIONS))} of the "
        "logits' namespace, logits.__array_namespace__(), or of NumPy; crossentropy._backends.constant(x) is x as a "
        "NumPy array, a constant"
    )
