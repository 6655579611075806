"""Labels beside probabilities: indices of classes, names of classes, or distributions."""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy

from crossentropy._arguments.arrays import as_array, as_arrays
from crossentropy._arguments.foreign import from_table, masked_error
from crossentropy._arguments.unit_sums import find_misfit
from crossentropy._backends import Array, as_indices, device, index_dtype, is_numpy, is_torch, namespace
from crossentropy._backends.conditions import entry_at, first_true, is_true
from crossentropy._engine.probabilities.predictions import (
    Predictions,
    make_predictions,
    one_column_advice,
)
from crossentropy._engine.softmax.labels import resolve
from crossentropy._rows import entry_in_words, row_in_words
from crossentropy._statistics import Target
from crossentropy._statistics.label_errors import Hints, check_labels
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

NAMES = "OSUTMm"  # kinds of NumPy's dtypes: objects, strings, dates
ORDER = "log_loss takes (probabilities, labels); scikit-learn's order is reversed: write log_loss(p, y)"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The observed class of each row, or the mass on each class (on label 1, if predictions are one-dimensional)."""

    indices: Any = None
    masses: Any = None
    normalized: bool = True  # masses must sum to one
    ignore_index: int | None = None


def take(
    values: Any, labels: Any, *, classes: Any, in_logs: bool, normalize: bool
) -> tuple[Predictions, Any]:
    """Convert predictions and labels to arrays of one library; labels that are names remain NumPy arrays.

    Raises TypeError if dtypes and shapes show that they were passed as (truth, prediction), scikit-learn's order.
    """
    name = "log_probabilities" if in_logs else "probabilities"
    names = _names_in(labels, "labels", named=classes is not None)
    if names is not None or isinstance(labels, (LabelSet, Sparse)):
        predictions = make_predictions(as_array(values, name), in_logs=in_logs, normalize=normalize)
        return predictions, labels if names is None else names
    is_target = isinstance(labels, (OneHot, Probabilities))
    values_of_labels = labels.values if is_target else labels
    truth = None if in_logs else _names_in(values, name, named=False)
    if truth is not None:
        y = as_array(values_of_labels, "labels")
        if _is_floating(y) and (y.ndim == 1 or tuple(truth.shape) == tuple(y.shape[:-1])):
            raise TypeError(f"probabilities are names of classes; {ORDER}")
    _, (p, y) = as_arrays(**{name: values, "labels": values_of_labels})
    if not is_target and not in_logs:
        _check_order(p, y, normalize=normalize)
    predictions = make_predictions(p, in_logs=in_logs, normalize=normalize)
    return predictions, replace(labels, values=y) if is_target else y


def resolve_truth(
    labels: Any,
    p: Predictions,
    classes: Any,
    ignore_index: Any,
    sample_weight: Array | None,
    *,
    checked: bool,
) -> Truth:
    """Convert labels, as `take` returns them, to indices or masses."""
    if isinstance(labels, (OneHot, Probabilities, LabelSet, Sparse)):
        return _of_target(labels, p, classes, ignore_index, sample_weight, checked=checked)
    if classes is not None:
        return _named(labels, _class_list(classes, p), p, ignore_index, checked=checked)
    if _are_names(labels):
        raise _names_error(labels, p)
    xp = namespace(labels)
    if xp.isdtype(labels.dtype, "real floating"):
        if tuple(labels.shape) == tuple(p.values.shape):
            return Truth(masses=_masses(labels, p, ignore_index))
        raise _floating_error(labels, p)
    _check_shape(labels, p)
    return Truth(indices=as_indices(labels), ignore_index=ignore_index)


def _names_in(values: Any, name: str, *, named: bool) -> Any:
    """Return names as a NumPy array, or None if `values` are something else, which is left to `as_array`.

    Names are strings; if there are `classes` to compare them with (`named`), also dates and any objects.
    """
    if isinstance(values, (str, bytes, list, tuple)):
        try:
            array: Any = numpy.asarray(values)
        except ValueError:  # lists of different lengths
            return None
    else:
        array = values if is_numpy(values) else from_table(values, name)
    if array is None or array.dtype.kind not in NAMES:
        return None
    if not named and array.dtype.kind in "OMm" and not any(isinstance(x, (str, bytes)) for x in array.flat):
        return None
    if isinstance(array, numpy.ma.MaskedArray):
        raise masked_error(array, name)
    return array


def _is_floating(x: Array) -> bool:
    return bool(namespace(x).isdtype(x.dtype, "real floating"))


def _are_names(labels: Array) -> bool:
    """Tell whether labels, as `take` returns them, are names."""
    return is_numpy(labels) and labels.dtype.kind in NAMES


def _check_order(p: Array, y: Array, *, normalize: bool) -> None:
    """Raise TypeError if the arguments are in the order (truth, prediction)."""
    xp = namespace(p, y)
    if not xp.isdtype(y.dtype, "real floating"):
        return
    if p.ndim + 1 == y.ndim and tuple(p.shape) == tuple(y.shape[:-1]):
        raise TypeError(
            f"probabilities have shape {tuple(p.shape)} and labels, which are floating, {tuple(y.shape)}; {ORDER}"
        )
    if xp.isdtype(p.dtype, ("integral", "bool")) and not normalize:
        raise TypeError(f"probabilities have dtype {p.dtype} and labels {y.dtype}; {ORDER}")


def check_indices(target: Target, p: Predictions, bad: Array) -> None:
    """Raise ValueError for the first label of the rows `bad`, whose labels are not among the classes."""
    hints = Hints(
        one_class=one_column_advice(p),
        signs="if -1 and 1 are the two classes, pass classes=(-1, 1), in the order of the columns",
        otherwise=f"the {p.name} are of {p.classes} classes. If labels name classes, pass classes=[...], the label of "
        "each of them in the order of the columns",
    )
    check_labels(target, p.classes, bad=bad, hints=hints)


# ------------------------------------------------------------------------------------------------------- names


def _class_list(classes: Any, p: Predictions) -> list[Any]:
    """Check `classes` and return them as a list: a label for each column, each once."""
    if isinstance(classes, (str, bytes, dict, set, frozenset)) or not hasattr(classes, "__len__"):
        raise TypeError(
            f"classes is {classes!r}; pass a list, the label of each class in the order of the columns"
        )
    table = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if len(table) != p.classes:
        columns = "one-dimensional ones are of two" if p.is_binary else f"{p.classes} columns"
        raise ValueError(
            f"classes names {len(table)}, {_shortened(table)}, but {p.name} of shape {tuple(p.values.shape)} have "
            f"{p.classes} ({columns}); pass the label of each class in the order of the columns"
        )
    twice = [c for i, c in enumerate(table) if c in table[:i]]
    if twice:
        raise ValueError(f"classes names {twice[0]!r} twice; pass the label of each class once")
    return table


def _named(labels: Any, table: list[Any], p: Predictions, ignore_index: Any, *, checked: bool) -> Truth:
    """Convert named labels to indices into a table; a label that is not in it becomes C, an ignored one −1."""
    C = len(table)
    _check_shape(labels, p)
    xp = namespace(p.values)
    are_integers = not _are_names(labels) and xp.isdtype(labels.dtype, ("integral", "bool"))
    fit = not str(labels.dtype).endswith("uint64") and all(
        isinstance(c, Integral) and abs(int(c)) < 2**63 for c in table
    )
    if are_integers and fit:
        y = _looked_up(as_indices(labels), table)
        ignored = None if ignore_index is None else labels == ignore_index
    elif is_numpy(labels):
        places = {c: i for i, c in enumerate(table)}
        flat = labels.reshape(-1).tolist()
        y = _beside(p, [places.get(c, C) for c in flat], labels.shape, index_dtype(p.values))
        ignored = None
        if ignore_index is not None:
            ignored = _beside(p, [c == ignore_index for c in flat], labels.shape, xp.bool)
    else:
        raise TypeError(
            f"classes are {_shortened(table)}, but labels have dtype {labels.dtype}; "
            "pass integer labels, and in classes the integer of each column"
        )
    unknown = y == C if ignored is None else (y == C) & ~ignored
    if checked and is_true(xp.any(unknown)):
        place = first_true(unknown)
        label = entry_at(labels, place)
        raise ValueError(
            f"label {label!r} at {row_in_words(place)} is not among classes {_shortened(table)}; pass every label in "
            f"classes, in the order of the columns, or leave such rows out with ignore_index={label!r}"
        )
    if ignored is None:
        return Truth(indices=y)
    return Truth(indices=xp.where(ignored, 0 * y - 1, y), ignore_index=-1)


def _beside(p: Predictions, values: list[Any], shape: tuple[int, ...], dtype: Any) -> Array:
    """Convert a list to an array of the predictions' library, on their device."""
    xp = namespace(p.values)
    return xp.reshape(xp.asarray(values, dtype=dtype, device=device(p.values)), shape)


def _looked_up(y: Array, table: list[int]) -> Array:
    """Find the index of each integer in a table; the table's length if it is not there."""
    xp = namespace(y)
    order = sorted(range(len(table)), key=table.__getitem__)
    ranked = xp.asarray([int(table[i]) for i in order], dtype=y.dtype, device=device(y))
    order = xp.asarray(order, dtype=y.dtype, device=device(y))
    flat = xp.reshape(y, (-1,))
    place = xp.searchsorted(ranked, flat)
    place = as_indices(xp.where(place < len(table), place, 0 * place))
    is_known = xp.take(ranked, place, axis=0) == flat
    index = xp.take(order, place, axis=0)
    return xp.reshape(xp.where(is_known, index, 0 * index + len(table)), tuple(y.shape))


def _names_error(labels: Array, p: Predictions) -> TypeError:
    """Build the error for names without `classes`."""
    such = f" such as {labels.reshape(-1).tolist()[0]!r}" if labels.size else ""
    which = (
        "(negative, positive)"
        if p.is_binary
        else f"[...], the names of the {p.classes} columns in their order"
    )
    return TypeError(
        f"labels has dtype {labels.dtype}, names{such}; pass classes={which} (the classes_ of a scikit-learn model), "
        "or classes=numpy.unique(labels) if the columns are in sorted order and every class occurs"
    )


def _shortened(table: list[Any]) -> str:
    return repr(table) if len(table) <= 10 else f"[{', '.join(map(repr, table[:8]))}, ..., {table[-1]!r}]"


# ------------------------------------------------------------------------------------------------------ masses


def _of_target(
    labels: Any,
    p: Predictions,
    classes: Any,
    ignore_index: Any,
    sample_weight: Array | None,
    *,
    checked: bool,
) -> Truth:
    """Convert an explicit target form to indices or masses."""
    form = type(labels).__name__
    if classes is not None:
        raise ValueError(
            f"classes names labels, and a target of {form} has a column for each class; leave it out"
        )
    if p.is_binary or not isinstance(labels, (OneHot, Probabilities)):
        fix = "of label 1" if p.is_binary else "as OneHot or Probabilities"
        raise TypeError(
            f"labels are a target of {form}; pass integers, or floating-point numbers, the probability {fix}"
        )
    if tuple(labels.values.shape) != tuple(p.values.shape):
        raise _shape_error(labels.values, p, tuple(p.values.shape))
    if ignore_index is not None:
        raise ValueError(
            f"ignore_index={ignore_index} names a label, and a target of {form} has none; leave it out"
        )
    if isinstance(labels, Probabilities):
        return Truth(masses=_masses(labels.values, p, ignore_index), normalized=labels.normalized)
    shape = tuple(p.values.shape)
    target, _, _ = resolve(labels, p.values, shape, len(shape) - 1, p.rows, None, checked, sample_weight)
    return Truth(indices=as_indices(target.indices))


def _masses(masses: Array, p: Predictions, ignore_index: Any) -> Array:
    xp = namespace(masses)
    if not xp.isdtype(masses.dtype, "real floating"):
        raise TypeError(f"Probabilities have dtype {masses.dtype}; pass floats, or OneHot for 0 and 1")
    if ignore_index is not None:
        raise ValueError(
            f"ignore_index={ignore_index} names a label, and labels that are probabilities have none; leave rows out "
            "with a sample_weight of 0"
        )
    return masses


def check_masses(truth: Truth, p: Predictions, counted: Array | None) -> None:
    """Raise ValueError for masses that are not a distribution, and for predictions and labels in the wrong order."""
    xp, t = namespace(truth.masses), truth.masses
    beside = None if counted is None or p.is_binary else counted[..., None]
    if truth.normalized:
        wrong = ~((t >= 0) & (t <= 1)) if p.is_binary else ~(t >= 0)
        wrong = wrong if counted is None else wrong & (counted if beside is None else beside)
        if is_true(xp.any(wrong)):
            place = first_true(wrong)
            raise ValueError(
                f"{entry_in_words('labels', place)} is {float(t[place])}, and floating labels are probabilities; "
                "pass classes as integers, or in classes=[...] the label of each column"
            )
        if not p.is_binary:
            sums = xp.sum(t, axis=-1)
            misfit = find_misfit(t, sums, counted=counted)
            if misfit is not None:
                row, text = misfit
                raise ValueError(
                    f"the distribution of {row_in_words(row)} in the labels {text}; if several labels can be true at "
                    "once, use crossentropy.losses.binary_log_loss; masses of any sum are "
                    "crossentropy.targets.Probabilities(labels, normalized=False)"
                )
    if p.in_logs or p.normalize or not is_true(xp.all((p.values == 0) | (p.values == 1))):
        return
    if is_true(xp.any((t > 0) & (t < 1))):
        raise ValueError(f"probabilities are all 0 or 1, and labels are between; {ORDER}")


# ------------------------------------------------------------------------------------------------------ shapes


def _check_shape(y: Array, p: Predictions) -> None:
    """Raise unless integer labels have the shape of the rows."""
    shape = tuple(y.shape)
    if shape == p.rows:
        return
    if not p.is_binary and shape == tuple(p.values.shape) and p.classes > 1:
        raise TypeError(
            f"labels have dtype {y.dtype} and the shape {shape} of the {p.name}; integer labels are classes, of shape "
            f"{p.rows}. If they are one-hot, pass crossentropy.targets.OneHot(labels); if several can be true at once, "
            "use crossentropy.losses.binary_log_loss"
        )
    raise _shape_error(y, p, p.rows)


def _shape_error(y: Array, p: Predictions, needed: tuple[int, ...]) -> ValueError:
    """Build the error for labels of a wrong shape."""
    shape = tuple(y.shape)
    if p.classes == 1 and shape in (p.rows, tuple(p.values.shape)):
        return ValueError(one_column_advice(p))
    if shape == (*p.rows, 1):
        fix = "pass labels[..., 0]"
    elif p.is_binary:
        fix = (
            f"one-dimensional {p.name} are those of label 1, one for each row; a single row of classes is "
            f"{p.name}[None, :]"
        )
    else:
        fix = "pass one label for each row"
    return ValueError(
        f"labels have shape {shape}, but {p.name} of shape {tuple(p.values.shape)} need shape {needed}; {fix}"
    )


def _floating_error(y: Array, p: Predictions) -> Exception:
    """Build the error for floating labels whose shape is not that of the probabilities."""
    if tuple(y.shape) != p.rows:
        return _shape_error(y, p, p.rows)
    xp = namespace(y)
    if is_true(xp.all(y == xp.round(y))):
        cast = "labels.long()" if is_torch(y) else "labels.astype(int)"
        fix = f"pass class indices as integers: {cast}"
    else:
        fix = f"pass class indices as integers, or a distribution for each row, of shape {tuple(p.values.shape)}"
    return TypeError(f"labels have dtype {y.dtype} and the shape {p.rows} of indices; {fix}")
