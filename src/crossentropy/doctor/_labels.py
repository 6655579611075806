"""Labels that are not those of the columns: other numbers, other order, padding, and what ignore_index does."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from crossentropy._backends.numpy_products import matmul
from crossentropy.doctor._sample import Array, Sample
from crossentropy.doctor.finding import Finding

__all__ = ["label_range_findings", "padding_findings", "permutation_findings", "saving_is_beyond_chance"]

#: Labels that libraries use for rows to be left out.
LEFT_OUT = (-100, -1, 255)
#: More classes are not assigned one by one; only shifts are tried.
MANY = 1024
#: Standard errors that no chance reaches, beside those for the number of relabelings tried.
SIGMAS = 6.0
#: Losses beyond this are counted as this, so that one impossible label does not decide.
CLIPPED = 50.0


class Relabeling(NamedTuple):
    """Other labels for the same predictions: the finding that they make, if the loss is that much lower."""

    name: str
    what: str
    #: What each row would save, and the mean loss that is left.
    saving: Array
    after: float
    evidence: dict[str, object]
    instead: str


def label_range_findings(sample: Sample) -> Iterator[Finding]:
    """Find labels outside the classes."""
    y, C = sample.labels, sample.classes
    if sample.sigmoid:
        yield from _truth_findings(sample)
        return
    wrong = ~sample.in_range
    if not wrong.any():
        return
    first = int(sample.places[wrong.argmax()])
    values, counts = np.unique(y[wrong], return_counts=True)
    commonest = int(values[counts.argmax()])
    evidence = {"rows": int(wrong.sum()), "share_of_rows": float(wrong.mean()), "first_row": first}
    if y.min() >= 1 and y.max() == C:
        yield Finding(
            "labels_from_one",
            f"The labels are counted from 1: they are 1 to {C}, and the columns are 0 to {C - 1}. All but the last "
            "class are scored by the column of the next one.",
            evidence | {"least_label": int(y.min()), "largest_label": int(y.max()), "columns": C},
            "loss = cross_entropy(logits, labels - 1)",
        )
    elif commonest in LEFT_OUT and len(values) == 1:
        yield Finding(
            "ignore_index_missing",
            f"The label {commonest} is outside the {C} classes and marks rows to be left out, and no ignore_index "
            "says so.",
            evidence | {"label": commonest},
            f"loss = cross_entropy(logits, labels, ignore_index={commonest})",
        )
    else:
        yield Finding(
            "label_outside",
            f"Labels are outside the {C} classes, 0 to {C - 1}; the commonest of them is {commonest}.",
            evidence | {"commonest": commonest, "least_label": int(y.min()), "largest_label": int(y.max())},
            f"logits with {int(y.max()) + 1} columns, labels as 0, …, {C - 1}, or ignore_index={commonest}",
        )


def _truth_findings(sample: Sample) -> Iterator[Finding]:
    t = sample.labels
    wrong = (t < 0) | (t > 1)
    if not wrong.any():
        return
    evidence = {
        "rows": int(wrong.any(axis=1).sum()),
        "first_row": int(sample.places[wrong.any(axis=1).argmax()]),
        "least_label": float(t.min()),
        "largest_label": float(t.max()),
    }
    values = np.unique(t)
    if len(values) == 2 and values.tolist() in ([-1.0, 1.0], [1.0, 2.0]):
        turned = "(labels + 1) / 2" if values[0] < 0 else "labels - 1"
        yield Finding(
            "labels_plus_minus_one" if values[0] < 0 else "labels_from_one",
            f"The labels are {values[0]:g} and {values[1]:g}; the loss takes 0 and 1, and of others it has no bound.",
            evidence,
            f"loss = binary_cross_entropy_with_logits(logits, {turned})",
        )
    else:
        yield Finding(
            "label_outside",
            "Labels are outside [0, 1], the probabilities of a yes.",
            evidence,
            "labels that are 0, 1 or between; leave rows out by a weight of 0",
        )


def permutation_findings(sample: Sample) -> Iterator[Finding]:
    """Find a relabeling that would cut the loss by more than chance does."""
    found = _best_questions(sample) if sample.sigmoid else _best_relabeling(sample)
    if found is None:
        return
    if saving_is_beyond_chance(found.saving, sample.classes) and found.after < 0.9 * sample.entropy:
        yield Finding(
            found.name,
            found.what,
            {
                "loss_as_called": sample.loss,
                "loss_relabeled": found.after,
                "entropy_of_label_frequencies": sample.entropy,
            }
            | found.evidence,
            found.instead,
            cost=float(found.saving.mean()),
        )


def saving_is_beyond_chance(saving: Array, choices: int = 1) -> bool:
    """Tell whether the mean saving of rows is above 0.05 nats, and above that of the best of all orders by chance.

    There are ``choices!`` orders, so the largest of so many means of chance is about ``√(2 ln choices!)`` standard
    errors.
    """
    n = len(saving)
    if n < 8:
        return False
    mean = float(saving.mean())
    error = max(float(saving.std(ddof=1)), 0.05) / math.sqrt(n)
    return mean > 0.05 and mean > (SIGMAS + math.sqrt(2 * math.lgamma(choices + 1))) * error


def _clipped_losses(sample: Sample, labels: Array) -> Array:
    return np.minimum(sample.losses_of(labels), CLIPPED)


def _best_relabeling(sample: Sample) -> Relabeling | None:
    y, C = sample.labels, sample.classes
    present, places, counts = np.unique(y, return_inverse=True, return_counts=True)
    if C > MANY or len(present) < 2:
        return _best_shift(sample)
    sums = np.zeros((len(present), C))
    np.add.at(sums, places, np.minimum(sample.losses_of_classes(), CLIPPED))
    column = _assignment(sums)
    if column is None:
        return _best_shift(sample)
    moved = np.flatnonzero(column != present)
    if not len(moved):
        return None
    step = int((column - present)[moved[0]])
    if abs(step) == 1 and ((column - present) % C == step % C).all():
        return _shift(sample, step)
    after = _clipped_losses(sample, column[places])
    pairs = {int(present[k]): int(column[k]) for k in moved[np.argsort(-counts[moved])][:8]}
    return Relabeling(
        "labels_permuted",
        "The labels are in another order than the columns: relabeled, they fit the predictions far better. "
        f"{len(moved)} of {len(present)} classes stand elsewhere.",
        np.minimum(sample.losses, CLIPPED) - after,
        float(after.mean()),
        {"label_to_column": ", ".join(f"{a} → {b}" for a, b in pairs.items()), "classes_moved": len(moved)},
        f"labels = numpy.asarray({_order(present, column, C)})[labels]"
        if C <= 32
        else "labels in the columns' order",
    )


def _order(present: Array, column: Array, C: int) -> list[int]:
    """Return the column of each label; those that do not occur take the free columns."""
    order = dict(zip(present.tolist(), column.tolist(), strict=True))
    free = iter(sorted(set(range(C)) - set(order.values())))
    return [order[c] if c in order else next(free) for c in range(C)]


def _assignment(sums: Array) -> Array | None:
    """Return the column of each label for which the sum of losses is least; None if SciPy is not installed."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError:
        return None
    return np.asarray(linear_sum_assignment(sums)[1])


def _best_shift(sample: Sample) -> Relabeling:
    """Try the columns beside those of the labels."""
    return min((_shift(sample, step) for step in (-1, 1)), key=lambda shift: shift.after)


def _shift(sample: Sample, step: int) -> Relabeling:
    """Move each label to the column before it (−1) or after it (1)."""
    y, C = sample.labels, sample.classes
    after = _clipped_losses(sample, (y + step) % C)
    from_one = step == -1 and int(y.min()) >= 1
    side = "before" if step < 0 else "after"
    return Relabeling(
        "labels_from_one" if from_one else "labels_permuted",
        ("The labels are counted from 1: " if from_one else "The labels are shifted against the columns: ")
        + f"each fits the column {side} its own far better.",
        np.minimum(sample.losses, CLIPPED) - after,
        float(after.mean()),
        {"label_to_column": f"c → c {'−' if step < 0 else '+'} 1", "least_label": int(y.min())},
        "loss = cross_entropy(logits, labels - 1)" if from_one else f"labels = (labels {step:+d}) % {C}",
    )


def _best_questions(sample: Sample) -> Relabeling | None:
    """Find the order of yes-or-no questions, or the exchange of yes and no, that costs least."""
    t, C = sample.labels, sample.classes
    if C == 1 or C > MANY:
        turned = _clipped_losses(sample, 1 - t)
        return Relabeling(
            "labels_permuted",
            "Yes and no are exchanged: the opposite labels fit the predictions far better.",
            (np.minimum(sample.losses, CLIPPED) - turned).mean(axis=1),
            float(turned.mean()),
            {"label_to_column": "0 → 1, 1 → 0"},
            "labels = 1 - labels  # or the probability of the other class",
        )
    yes, no = (_clipped_losses(sample, np.full_like(t, answer)) for answer in (1, 0))
    # The loss of question k in column c, which is linear in t.
    column = _assignment(matmul(t.T, yes) + matmul((1 - t).T, no))
    if column is None or (column == np.arange(C)).all():
        return None
    order = np.argsort(column)  # the question that each column fits
    after = _clipped_losses(sample, t[:, order]).mean(axis=1)
    moved = np.flatnonzero(column != np.arange(C))
    return Relabeling(
        "labels_permuted",
        f"The labels are in another order than the columns: {len(moved)} of {C} questions stand elsewhere.",
        np.minimum(sample.losses, CLIPPED).mean(axis=1) - after,
        float(after.mean()),
        {"label_to_column": ", ".join(f"{k} → {int(column[k])}" for k in moved[:8])},
        f"labels = labels[:, {order.tolist()}]" if C <= 32 else "labels in the columns' order",
    )


def padding_findings(sample: Sample) -> Iterator[Finding]:
    """Find a label that fills the ends of rows, and what ignore_index hides."""
    if sample.sigmoid or sample.grid.size == 0:
        return
    grid = _sequences(sample.grid)
    ignored = np.zeros(sample.grid.shape, bool)
    if sample.ignore_index is not None:
        ignored = sample.grid == sample.ignore_index
        yield from _ignore_findings(sample, ignored, grid)
    if grid is None:
        return
    value, share, rows = _trailing_label(grid)
    if value is None or value == sample.ignore_index or not 0 <= value < sample.classes:
        return
    kept = sample.labels != value
    if not kept.any():
        return
    without = float(sample.losses[kept].mean())
    yield Finding(
        "padding_as_class",
        f"The label {value} fills the ends of rows and stands nowhere else: it is padding, and counts as a class.",
        {
            "label": value,
            "share_of_labels": share,
            "rows_that_end_in_it": rows,
            "loss_as_called": sample.loss,
            "loss_without_padding": without,
        },
        f"loss = cross_entropy(logits, labels, ignore_index={value})",
        cost=abs(without - sample.loss),
    )


def _ignore_findings(sample: Sample, ignored: Array, grid: Array | None) -> Iterator[Finding]:
    value, share = sample.ignore_index, float(ignored.mean())
    if not share:
        yield Finding(
            "ignore_index_unused",
            f"No label is {value}, the ignore_index: nothing is left out.",
            {
                "labels": int(ignored.size),
                "least_label": int(sample.grid.min()),
                "largest": int(sample.grid.max()),
            },
            "the label of padding or of unlabeled rows as ignore_index, or none",
        )
        return
    in_range = value is not None and 0 <= value < sample.classes
    at_ends = grid is not None and _trailing_label(grid)[0] == value
    if share > 0.95 or (share > 0.5 and in_range and not at_ends):
        yield Finding(
            "ignore_index_hides",
            f"The ignore_index {value} leaves out {100 * share:.1f} % of the labels"
            + (f", and {value} is the number of a class." if in_range else "."),
            {"share_of_labels": share, "labels_left": int((~ignored).sum())},
            "ignore_index=-100, and this label for what is to be left out alone",
        )


def _sequences(grid: Array) -> Array | None:
    """Return labels as rows (N, T) of sequences; of one axis, by the length that all runs at ends of rows fit."""
    if grid.ndim == 2 and grid.shape[1] >= 4:
        return grid
    if grid.ndim != 1 or len(grid) < 64:
        return None
    ends = np.flatnonzero(np.r_[grid[1:] != grid[:-1], True]) + 1
    lengths = np.diff(np.r_[0, ends])
    values = grid[ends - 1]
    for value in np.unique(values[lengths >= 4])[:64]:
        runs = ends[(values == value) & (lengths >= 2)]
        length = int(np.gcd.reduce(runs)) if len(runs) >= 6 else 0
        if length >= 4 and len(grid) % length == 0:
            return grid.reshape(-1, length)
    return None


def _trailing_label(grid: Array) -> tuple[int | None, float, int]:
    """Return the label that fills ends of rows and stands nowhere else, its share, and how many rows end in it."""
    last = grid[:, -1]
    values, counts = np.unique(last, return_counts=True)
    value = int(values[counts.argmax()])
    is_value = grid == value
    trailing = np.cumprod(is_value[:, ::-1], axis=1).sum(axis=1)
    rows = int((trailing > 0).sum())
    total = int(is_value.sum())
    enough = rows >= max(4, 0.25 * len(grid)) and total >= 0.03 * grid.size and total >= 2 * rows
    partial = np.unique(trailing[(trailing > 0) & (trailing < grid.shape[1])])
    if enough and len(partial) >= 3 and trailing.sum() >= 0.99 * total:
        return value, total / grid.size, rows
    return None, 0.0, 0
