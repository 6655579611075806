"""Arrays and tables of other kinds: converted where that is safe, else refused with an error that names the fix."""

import sys
from typing import Any

import numpy as np

from crossentropy._backends import Array, is_tensorflow

# Expressions that convert another library's array to NumPy, by the library's module; {} is the argument.
CONVERSIONS = {
    "cupy": "cupy.asnumpy({})",
    "dask": "{}.compute()",
    "mlx": "numpy.asarray({})",
    "polars": "{}.collect()",  # a LazyFrame
    "sparse": "{}.todense()",
    "tensorflow": "{}.to_tensor()",  # a RaggedTensor
    "xarray": "{}.to_numpy()",
}

# Advice on how to leave masked values out, by argument; {0} is its name.
UNMASKED = {
    "logits": (
        "{0}.filled(-numpy.inf) takes classes out of a softmax; to leave rows out, pass {0}.data with "
        "sample_weight=~numpy.ma.getmaskarray({0}).any(axis=-1), and in sigmoid losses, to leave elements out, "
        "sample_weight=~numpy.ma.getmaskarray({0})"
    ),
    "labels": "pass {0}.data with sample_weight=~numpy.ma.getmaskarray({0}), which leaves what is masked out",
}
OTHERWISE = "pass {0}.filled(0) where what is masked counts for nothing, or {0}.data to take it as it is"


def follows_the_standard(x: Any) -> bool:
    """Tell whether `x` is an array of the array API standard, of a library that computes eagerly and in memory."""
    return hasattr(x, "__array_namespace__") and type(x).__module__.partition(".")[0] not in CONVERSIONS


def is_bfloat16(dtype: Any) -> bool:
    """Tell whether a NumPy dtype is ml_dtypes' bfloat16 in native byte order."""
    ml_dtypes = sys.modules.get("ml_dtypes")
    return ml_dtypes is not None and isinstance(dtype, np.dtype) and bool(dtype == ml_dtypes.bfloat16)


def plain(x: Any, name: str) -> Array:
    """Convert `x` to a NumPy array of native real numbers, aligned, with strides in whole items."""
    kind = type(x)
    if isinstance(x, np.ma.MaskedArray):
        raise masked_error(x, name)
    if isinstance(x, np.ndarray) and kind not in (np.ndarray, np.memmap, np.matrix, np.recarray):
        raise subclass_error(x, name)
    try:
        array = np.asarray(x)
    except ValueError as error:  # a list of lists of different lengths
        raise ValueError(f"{name} cannot be read as an array: {error}") from None
    native = array.dtype.newbyteorder("=")
    if not (native.kind in "biuf" or is_bfloat16(native)):
        raise number_error(x, array, name)
    if array.dtype != native:
        return array.astype(native)
    apart = array.flags.aligned and not any(stride % array.itemsize for stride in array.strides)
    return array if apart else array.copy()


def from_table(x: Any, name: str) -> Array | None:
    """Return the values of a series or frame of pandas or polars as a NumPy array; None for anything else.

    Raises
    ------
    ValueError
        If values are missing, which NumPy would turn into NaN.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(x, (pandas.Series, pandas.DataFrame, pandas.Index)):
        columns = [x.iloc[:, i] for i in range(x.shape[1])] if x.ndim == 2 else [x]
        extended = [column for column in columns if not isinstance(column.dtype, np.dtype)]
        if any(column.isna().any() for column in extended):
            raise _missing_error(name, "fillna")
        return (
            np.stack([c.to_numpy() for c in columns], axis=-1) if extended and x.ndim == 2 else x.to_numpy()
        )
    if polars is not None and isinstance(x, (polars.Series, polars.DataFrame)):
        columns = x.get_columns() if isinstance(x, polars.DataFrame) else [x]
        if any(column.null_count() for column in columns):
            raise _missing_error(name, "fill_null")
        return x.to_numpy()
    return None


def _missing_error(name: str, fill: str) -> ValueError:
    """Build the error for missing values; `fill` is the table's method that replaces them."""
    leave_out = "-1) with ignore_index=-1" if name == "labels" else "0) where that is meant"
    return ValueError(
        f"{name} has missing values, which would become NaN; leave their rows out, or pass {name}.{fill}({leave_out}"
    )


def masked_error(x: Array, name: str) -> TypeError:
    """Build the error for a masked array."""
    soft = name == "labels" and x.dtype.kind == "f"
    fix = OTHERWISE.format(name) if soft else UNMASKED.get(name, OTHERWISE).format(name)
    return TypeError(f"got {name} of type numpy.ma.MaskedArray, whose mask no loss looks at; {fix}")


def subclass_error(x: Any, name: str) -> TypeError:
    """Build the error for a subclass of NumPy's array, which may stand for more than the numbers in its memory."""
    return TypeError(
        f"got {name} of type {type_name(x)}, which may mean something else than the numbers in its memory; "
        f"pass numpy.asarray({name}) if the numbers are meant"
    )


def number_error(x: Any, array: Array, name: str) -> TypeError:
    """Build the error for an array that does not hold real numbers."""
    kind, is_array = array.dtype.kind, hasattr(x, "astype")
    to = "int" if name == "labels" else "float"
    if array.dtype.names:
        fix = f'pass one of its fields, {name}["{array.dtype.names[0]}"]'
    elif kind == "c":
        fix = f"pass numpy.real({name}), numpy.abs({name}) or what else is meant"
    elif kind == "O" and not any(isinstance(value, str) for value in array.flat):
        fix = f"pass {name}.astype({to})" if is_array else f"pass numpy.asarray({name}, dtype={to})"
    elif kind in "OSUT":
        fix = f"pass numbers; for names of classes numpy.unique({name}, return_inverse=True)[1], in sorted order"
    else:
        fix = f"pass numbers, for example numpy.asarray({name}).astype({to})"
    return TypeError(f"{name} has dtype {array.dtype}, which is none of real numbers; {fix}")


def not_an_array_error(x: Any, name: str) -> TypeError:
    """Build the error for a value of an unknown library."""
    module = type(x).__module__.partition(".")[0]
    fix = CONVERSIONS.get(module, "numpy.asarray({})" if hasattr(x, "__array__") else "").format(name)
    fix = fix or "an array of NumPy, PyTorch or JAX, a list or a number"
    return TypeError(f"got {name} of type {type_name(x)}; pass {fix}")


def other_library_error(x: Any, name: str, like: Array, beside: str) -> TypeError:
    """Build the error for an array of another library than the argument `beside`."""
    is_traced = getattr(x, "is_traced", False)
    x, like = (a.value if is_tensorflow(a) else a for a in (x, like))  # as they were passed
    fix = f"numpy.asarray({name})"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(like, torch.Tensor) and not is_traced:
        fix = f"torch.as_tensor({name})"
        array = np.asarray(x)
        if array is not x or not array.dtype.isnative or any(stride < 0 for stride in array.strides):
            dtype = array.dtype.newbyteorder("=").name if array.dtype.itemsize <= 8 else "float64"
            fix = f'torch.as_tensor(numpy.array({name}, dtype="{dtype}"))'
    elif torch is not None and isinstance(x, torch.Tensor):
        fix = f"{name}.numpy(force=True)"
    return TypeError(
        f"got {name} of type {type_name(x)} but {beside} of type {type_name(like)}; pass arrays of one library, "
        f"for example {fix}"
    )


def type_name(x: Any) -> str:
    """Return the qualified name of the type of `x`, with its module unless it is a builtin."""
    kind = type(x)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
