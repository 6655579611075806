"""Labels of any form as the target of row statistics, checked against the logits."""

from typing import Any

from crossentropy._arguments.arrays import as_array_like
from crossentropy._backends import Array, as_indices, is_numpy, is_torch, namespace
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._backends.dtypes import is_kind
from crossentropy._kernels import COMPILED
from crossentropy._rows import row_in_words, rows_shape
from crossentropy._statistics import Target
from crossentropy._statistics.cpu.kernel import rows_with_any
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

#: The target of statistics, the weights of `Sparse`, and whether the rows of soft labels must sum to one.
ResolvedTarget = tuple[Target, Array | None, bool]


def resolve(
    labels: Any,
    like: Array,
    shape: tuple[int, ...],
    axis: int,
    rows: tuple[int, ...],
    ignore_index: int | None,
    validate: bool,
    sample_weight: Array | None = None,
    ready: bool = False,
    checks_sets: bool = True,
) -> ResolvedTarget:
    """Labels of any form as a `Target`, checked against the logits, or an error; rows of weight 0 may hold anything.

    The logits are an array of the library and the device of `like`, of this shape. Labels that are `ready` are tensors
    that need not be converted; sets are looked through for an empty one where `checks_sets`.
    """
    if ready and getattr(labels, "shape", None) == rows and not labels.is_floating_point():
        return Target(labels, ignore_index=ignore_index), None, False
    if isinstance(labels, OneHot):
        indices = _one_hot_indices(labels.values, like, shape, axis, sample_weight, validate=validate)
        return Target(indices=indices, ignore_index=ignore_index), None, False
    if isinstance(labels, Sparse):
        return _sparse(labels, rows, like, ignore_index, ready)
    if isinstance(labels, LabelSet):
        mask = labels.mask if ready else as_array_like(labels.mask, "mask", like)
        _check_soft(mask, shape, ignore_index, "LabelSet")
        if not is_kind(mask, "bool"):
            raise TypeError(
                f"the mask of LabelSet has dtype {mask.dtype}; pass mask.astype(bool) or mask.bool()"
            )
        if validate and checks_sets:
            check_sets(mask, axis, sample_weight)
        return Target(mask=mask), None, False
    if isinstance(labels, Probabilities):
        return _dense(labels.values, like, shape, ignore_index, labels.normalized)
    y = as_array_like(labels, "labels", like)
    if is_kind(y, "real floating"):
        if tuple(y.shape) == rows != shape:
            cast = "labels.long()" if is_torch(y) else "labels.astype(int)"
            raise TypeError(
                f"labels have dtype {y.dtype} and the shape {rows} of indices; floating labels are probabilities over "
                f"the class axis. Pass class indices as integers: {cast}{_yes_or_no(shape, axis)}"
            )
        return _dense(y, like, shape, ignore_index, True)
    if not is_kind(y, ("bool", "integral")):
        raise TypeError(
            f"labels have dtype {y.dtype}; pass integers (class indices) or floats (probabilities)"
        )
    if tuple(y.shape) != rows:
        raise _indices_error(y, shape, axis, rows)
    return Target(indices=y, ignore_index=ignore_index), None, False


def check_sets(mask: Array, axis: int, sample_weight: Array | None) -> None:
    """Raise for a row whose set has no class, unless its weight is 0."""
    empty = _weighed(~_rows_with_any(mask, axis), sample_weight)
    if is_true(namespace(mask).any(empty)):
        row = first_true(empty)
        raise ValueError(
            f"{row_in_words(row)} of LabelSet has no class in its set; "
            "to leave it out give it a sample_weight of 0"
        )


def _indices_error(
    y: Array, shape: tuple[int, ...], axis: int, rows: tuple[int, ...]
) -> TypeError | ValueError:
    """What to say of integer labels that are not one for each row."""
    if tuple(y.shape) == shape:
        hint = _yes_or_no(shape, axis) or (
            ". If they are one-hot, pass crossentropy.targets.OneHot(labels); if they are yes or no for each class, "
            "crossentropy.sigmoid_cross_entropy(logits, labels) takes them"
        )
        return TypeError(
            f"labels have dtype {y.dtype} and the shape {shape} of the logits; integer labels are indices, of shape "
            f"{rows}{hint}"
        )
    fitting = [i for i in range(len(shape)) if rows_shape(shape, i) == tuple(y.shape)]
    hint = _yes_or_no(shape, axis)
    if tuple(y.shape) == (*rows, 1):
        hint = "; pass labels[..., 0]"
    elif fitting:
        hint = f". If the classes are along axis {fitting[-1]}, pass axis={fitting[-1]}"
    return ValueError(
        f"labels have shape {tuple(y.shape)}, but logits of shape {shape} with class axis {axis} need one label for "
        f"each of their rows, shape {rows}{hint}"
    )


def _yes_or_no(shape: tuple[int, ...], axis: int) -> str:
    """What to add where logits look like those of yes-or-no questions, one to a row; nothing where they do not."""
    if len(shape) == 1:
        return (
            ". Logits of one axis are one row of classes; for a yes or no of each there is "
            "crossentropy.sigmoid_cross_entropy(logits, labels)"
        )
    if shape[axis] == 1:
        return (
            ". There is one class; for a yes or no in each row there is "
            "crossentropy.sigmoid_cross_entropy(logits, labels), with labels in the shape of the logits"
        )
    return ""


def _check_soft(x: Array, shape: tuple[int, ...], ignore_index: int | None, what: str) -> None:
    if tuple(x.shape) != shape:
        raise ValueError(
            f"{what} has shape {tuple(x.shape)} but the logits have shape {shape}; "
            "it says something of every class, so the shapes must be equal"
        )
    if ignore_index is not None:
        raise ValueError(
            f"ignore_index={ignore_index} names a label, and {what} has none; "
            "leave rows out with sample_weight 0 instead"
        )


def _dense(
    values: Any, like: Array, shape: tuple[int, ...], ignore_index: int | None, normalized: bool
) -> ResolvedTarget:
    a = as_array_like(values, "labels", like)
    if not is_kind(a, "real floating"):
        raise TypeError(
            f"probabilities have dtype {a.dtype}; if this is one-hot, pass crossentropy.targets.OneHot(labels), "
            "otherwise convert it to floating point"
        )
    _check_soft(a, shape, ignore_index, "a target of probabilities")
    return Target(dense=a), None, normalized


def _sparse(
    labels: Sparse, rows: tuple[int, ...], like: Array, ignore_index: int | None, ready: bool
) -> ResolvedTarget:
    y, t = labels.indices, labels.weights
    if not ready:
        y, t = as_array_like(y, "indices", like), as_array_like(t, "weights", like)
    fits = ready and "int" in str(y.dtype) and t.is_floating_point()
    if not fits and not (is_kind(y, "integral") and is_kind(t, "real floating")):
        raise TypeError(
            f"Sparse has indices of {y.dtype} and weights of {t.dtype}; pass integer indices and floating weights"
        )
    if tuple(y.shape) != tuple(t.shape) or tuple(y.shape[:-1]) != rows or y.shape[-1] == 0:
        raise ValueError(
            f"Sparse has indices of shape {tuple(y.shape)} and weights of shape {tuple(t.shape)}; "
            f"both need shape {rows} + (k,) with k of at least 1"
        )
    return Target(indices=y, several=True, ignore_index=ignore_index), t, False


def _weighed(rows: Array, sample_weight: Array | None) -> Array:
    """Those of `rows`, an array of bool, whose weight is not 0."""
    return rows if sample_weight is None else rows & (sample_weight != 0)


def _rows_with_any(mask: Array, axis: int) -> Array:
    """Whether each row of a mask has a class in it; natively it is not read to its end."""
    if is_numpy(mask) and COMPILED:
        return rows_with_any(NumpyMemory, mask, axis)
    if is_torch(mask):
        from crossentropy._statistics.cpu.memory_torch import TorchMemory, are_readable

        if are_readable(mask):
            return rows_with_any(TorchMemory, mask, axis)
    return namespace(mask).any(mask, axis=axis)


def _one_hot_indices(
    values: Any,
    like: Array,
    shape: tuple[int, ...],
    axis: int,
    sample_weight: Array | None,
    *,
    validate: bool,
) -> Array:
    x = as_array_like(values, "labels", like)
    if not is_kind(x, ("bool", "integral")):
        raise TypeError(
            f"OneHot has dtype {x.dtype}; floating targets are probabilities: pass them as they are"
        )
    _check_soft(x, shape, None, "OneHot")
    xp = namespace(x)
    ones = as_indices(x)
    if validate:
        wrong = (xp.sum(ones, axis=axis) != 1) | xp.any((ones != 0) & (ones != 1), axis=axis)
        wrong = _weighed(wrong, sample_weight)
        if is_true(xp.any(wrong)):
            row = first_true(wrong)
            raise ValueError(
                f"{row_in_words(row)} of OneHot is not one 1 among zeros; for several, use LabelSet or floats"
            )
    return xp.argmax(ones, axis=axis)
