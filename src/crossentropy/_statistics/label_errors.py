"""Labels outside the classes: which rows have one, and the error that names the first of them."""

from typing import NamedTuple

from crossentropy._backends import Array, as_indices, namespace
from crossentropy._backends.conditions import is_true, unravel
from crossentropy._rows import row_in_words
from crossentropy._statistics.problem import Target


class Hints(NamedTuple):
    """Hints for errors about labels, by the kind of labels that were passed."""

    one_class: str
    signs: str  # two classes and labels of −1 and 1
    otherwise: str


#: The smallest integers. Shifting labels fills the last place with one of them as the label to ignore,
#: so an error does not name it: no user passed it.
PLACEHOLDERS = {-(2**31), -(2**63)}

OF_LOGITS = Hints(
    one_class="there is one class. For a yes or no in each row write "
    "crossentropy.sigmoid_cross_entropy(logits[..., 0], labels)",
    signs="labels are 0 and 1; if yours are -1 and 1, pass (labels + 1) // 2",
    otherwise="the logits have {classes} classes along their class axis; check `axis` and the labels",
)


def outside_classes(target: Target, classes: int) -> Array:
    """Mark the rows with a label outside the classes that are not ignored; bool, in the rows' shape."""
    y = as_indices(target.indices)
    xp = namespace(y)
    outside = (y < 0) | (y >= classes)
    if target.ignore_index is None:
        return xp.any(outside, axis=-1) if target.several else outside
    kept = y != target.ignore_index
    outside = outside & kept
    return xp.any(outside, axis=-1) & xp.all(kept, axis=-1) if target.several else outside


def check_labels(target: Target, classes: int, *, bad: Array | None = None, hints: Hints = OF_LOGITS) -> None:
    """Raise if a label is outside the classes, where values can be read without waiting for a device.

    `bad` is the result of `outside_classes`, or a part of it.
    """
    if target.indices is None:
        return
    bad = outside_classes(target, classes) if bad is None else bad
    xp = namespace(bad)
    if is_true(xp.any(bad)):
        row = int(xp.argmax(xp.astype(xp.reshape(bad, (-1,)), xp.int32)))
        raise bad_label_error(target, row, classes, hints)


def bad_label_error(target: Target, row: int, classes: int, hints: Hints = OF_LOGITS) -> ValueError:
    """Build the error for a label outside the classes in a row, counted among all rows in C order."""
    several, ignore_index = target.several, target.ignore_index
    indices: Array = target.indices
    xp = namespace(indices)
    flat = xp.reshape(indices, (-1,))
    k = indices.shape[-1] if several else 1
    labels = [int(y) for y in flat[row * k : (row + 1) * k]]
    label = next(y for y in labels if y != ignore_index and not 0 <= y < classes)
    place = row_in_words(unravel(row, indices.shape[:-1] if several else indices.shape))
    counted = as_indices(flat)
    counted = counted if ignore_index is None else counted[counted != ignore_index]
    named = None if ignore_index in PLACEHOLDERS else ignore_index
    smallest, largest = int(xp.min(counted)), int(xp.max(counted))
    if classes == 1:
        hint = hints.one_class
    elif classes == 2 and bool(xp.all((counted == -1) | (counted == 1))):
        hint = hints.signs
    elif named is None and (label < 0 or label == 255):
        hint = f"to leave such rows out, pass ignore_index={label}"
    elif smallest >= 1 and largest == classes:
        hint = "labels count from 0; if yours count from 1, pass labels - 1"
    else:
        hint = hints.otherwise.format(classes=classes)
    but = "" if named is None else f" and is not ignore_index={named}"
    return ValueError(f"label {label} at {place} is outside [0, {classes}){but}; {hint}")
