"""The check and the error for labels outside the classes."""

from typing import Any

from crossentropy._backends import as_indices, namespace
from crossentropy._backends.conditions import is_true
from crossentropy._statistics.problem import Target

Array = Any


def check_labels(target: Target, classes: int) -> None:
    """Raise ValueError if a label is outside [0, classes) and its row is not ignored."""
    if target.indices is None:
        return
    y = as_indices(target.indices)
    xp = namespace(y)
    wrong = (y < 0) | (y >= classes)
    if target.ignore_index is not None:
        wrong = wrong & (y != target.ignore_index)
        if target.several:
            wrong = wrong & ~xp.any(y == target.ignore_index, axis=-1, keepdims=True)
    wrong = xp.any(wrong, axis=-1) if target.several else wrong
    if is_true(xp.any(wrong)):
        row = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), xp.int32)))
        raise bad_label_error(target.indices, row, classes, target.ignore_index, several=target.several)


def bad_label_error(
    indices: Array, row: int, classes: int, ignore_index: int | None, *, several: bool = False
) -> ValueError:
    """Build the error for a row with a label outside the classes.

    Parameters
    ----------
    indices : integer array, shape rows, or rows + (k,)
    row : int
        Position of the row among all rows, flattened in C order.
    classes : int
        Number of classes.
    ignore_index : int or None
        The label whose rows are ignored.
    several : bool
        Whether every row has k labels.
    """
    xp = namespace(indices)
    flat = xp.reshape(indices, (-1,))
    k = indices.shape[-1] if several else 1
    labels = [int(y) for y in flat[row * k : (row + 1) * k]]
    label = next(y for y in labels if y != ignore_index and not 0 <= y < classes)
    place = _unraveled(row, tuple(indices.shape[:-1] if several else indices.shape))
    smallest, largest = int(xp.min(flat)), int(xp.max(flat))
    if classes == 1:
        hint = (
            "there is one class. For a yes or no in each row write "
            "crossentropy.sigmoid_cross_entropy(logits[..., 0], labels)"
        )
    elif classes == 2 and bool(xp.all((flat == -1) | (flat == 1))):
        hint = "labels are 0 and 1; if yours are -1 and 1, pass (labels + 1) // 2"
    elif ignore_index is None and (label < 0 or label == 255):
        hint = f"to leave such rows out, pass ignore_index={label}"
    elif smallest >= 1 and largest == classes:
        hint = "labels count from 0; if yours count from 1, pass labels - 1"
    else:
        hint = f"the logits have {classes} classes along their class axis; check `axis` and the labels"
    but = "" if ignore_index is None else f" and is not ignore_index={ignore_index}"
    return ValueError(f"label {label} at row {place} is outside [0, {classes}){but}; {hint}")


def _unraveled(flat: int, shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """Convert a flat index to one for `shape`, a number if it has one axis."""
    if len(shape) <= 1:
        return flat
    place: list[int] = []
    for n in reversed(shape):
        flat, i = divmod(flat, n)
        place.append(i)
    return tuple(reversed(place))
