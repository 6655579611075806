"""The shift of labels and row options along a sequence, to the hidden states that predict them."""

from typing import Any

from crossentropy._arguments.arrays import as_array_like
from crossentropy._arguments.errors import integer
from crossentropy._backends import Array, as_indices, device, is_number, namespace
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.weights import like, row_values
from crossentropy._statistics import Target
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

# The label of rows that a shift leaves without one; it fits every integer dtype of labels.
NO_LABEL = -(1 << 30)


def apply_shift(
    hidden: Array, labels: Any, shift: int, options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Move labels, and the options with an entry per row, to the hidden states that predict them.

    With a shift the returned options have an ``ignore_index``, the label of rows that are left without one.
    """
    rows, moved = tuple(hidden.shape[:-1]), dict(options)
    moved["sample_weight"] = row_values(options.get("sample_weight"), hidden, rows, "sample_weight")
    for name in ("normalizer", "temperature"):
        value = options.get(name, 1.0)
        if not (isinstance(value, str) or is_number(value)):
            value = like(value, hidden, name)
            moved[name] = row_values(value, hidden, rows, name) if value.ndim else value
    shift = int(integer(shift, "shift"))  # NumPy takes no True for a length
    if not shift:
        return labels, moved
    labels, moved["ignore_index"] = _shifted_labels(labels, hidden, rows, shift, options.get("ignore_index"))
    for name in ("sample_weight", "normalizer", "temperature"):
        if name in moved:
            moved[name] = _shifted(moved[name], rows, shift, 1)
    return labels, moved


def drop_shifted_rows(problem: SoftmaxProblem, shift: int, ignore_index: int | None) -> Target:
    """Return the target without the rows at the end that a shift leaves without a label, to check its labels."""
    target, rows = problem.target, problem.rows
    if not shift:
        return target
    y = target.indices[(slice(None),) * (len(rows) - 1) + (slice(0, rows[-1] - shift),)]  # type: ignore[index]
    return Target(indices=y, several=target.several, ignore_index=ignore_index)


def _shifted_labels(
    labels: Any, hidden: Array, rows: tuple[int, ...], shift: int, ignore_index: int | None
) -> tuple[Any, int]:
    """Move labels `shift` positions forward; returns them and the label that fills the rows at the end."""
    if not rows or not 0 < shift <= rows[-1]:
        raise ValueError(
            f"shift is {shift}; with rows of shape {rows} it is from 0 to the length of the last axis"
        )
    if isinstance(labels, (LabelSet, OneHot, Probabilities)):
        raise ValueError(
            f"shift is given with {type(labels).__name__}, which would have to be copied; "
            "pass hidden[:, :-shift] and the targets[:, shift:]"
        )
    xp, nothing = namespace(hidden), NO_LABEL if ignore_index is None else ignore_index
    several = isinstance(labels, Sparse)
    y = as_array_like(labels.indices if several else labels, "labels", hidden)
    if not xp.isdtype(y.dtype, ("bool", "integral")):
        raise TypeError(
            f"shift is given with labels of {y.dtype}; it moves class indices, which are integers"
        )
    if tuple(y.shape[: len(rows)]) != rows:
        raise ValueError(
            f"labels have shape {tuple(y.shape)}; with a shift they too have the shape {rows} of the rows"
        )
    moved = _shifted(as_indices(y), rows, shift, nothing)
    if several:
        weights = as_array_like(labels.weights, "weights", hidden)
        return Sparse(moved, _shifted(weights, rows, shift, 0)), nothing
    return moved, nothing


def _shifted(x: Any, rows: tuple[int, ...], shift: int, fill: float) -> Any:
    """Move `x` `shift` positions forward along the rows' last axis; a value for all rows stays as it is."""
    if getattr(x, "ndim", 0) < len(rows):
        return x
    xp, axis = namespace(x), len(rows) - 1
    kept = x[(slice(None),) * axis + (slice(shift, None),)]
    end = xp.full((*rows[:-1], shift, *x.shape[len(rows) :]), fill, dtype=x.dtype, device=device(x))
    return xp.concat([kept, end], axis=axis)
