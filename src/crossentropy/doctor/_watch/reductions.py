"""Reductions and weights that change the loss, or the size of its gradient."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from crossentropy._arguments.arrays import as_numpy
from crossentropy.doctor._sample import Array
from crossentropy.doctor._watch.calls import Call
from crossentropy.doctor.finding import Finding

__all__ = ["reduction_findings"]

#: By how much the parts of a step may differ, relatively.
UNEQUAL = 0.05
#: How many times the smoothing of a class may be what was asked for, and by how much weights may scale a loss.
SMOOTHED, SCALED = 3.0, 3.0


def reduction_findings(calls: Sequence[Call], labels: Array | None) -> Iterator[Finding]:
    """Find what is wrong with the reductions of the calls of one line."""
    yield from _sums(calls)
    steps: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        steps[call.step].append(call)
    accumulating = [
        part for part in steps.values() if len(part) > 1 and all(c.reduction == "mean" for c in part)
    ]
    if 2 * len(accumulating) >= len(steps) and len(steps) > 1:
        yield from _accumulation(accumulating)
    yield from _smoothing(calls[-1], labels)
    yield from _weights(calls[-1])


def _sums(calls: Sequence[Call]) -> Iterator[Finding]:
    roots = [c for c in calls if c.is_root and c.reduction == "sum"]
    if roots and max(c.size for c in roots) > 1:
        sizes = [c.size for c in roots]
        yield Finding(
            "sum_reduction",
            'backward is called on a sum over the rows (reduction="sum"): the gradient, and with SGD the step, is as '
            "many times that of a mean as there are rows, and changes with the batch.",
            {"rows_of_a_call": int(np.median(sizes)), "fewest": min(sizes), "most": max(sizes)},
            'reduction="mean"  # or loss = losses.sum() / number_of_rows',
        )


def _accumulation(steps: Sequence[Sequence[Call]]) -> Iterator[Finding]:
    parts = round(float(np.mean([len(step) for step in steps])))
    if all(call.is_root for step in steps for call in step):
        yield Finding(
            "accumulation_not_divided",
            f"{parts} means are added up for each optimizer step: the gradient is {parts} times that of one mean "
            "over all their rows.",
            {"means_of_a_step": parts, "steps": len(steps)},
            f"(loss / {parts}).backward()  # if all parts have as many rows",
        )
    if any(call.divisor is None for step in steps for call in step):
        return
    weights = [
        np.asarray([float(call.divisor) for call in step if call.divisor is not None]) for step in steps
    ]
    spread = np.asarray([float(np.abs(w / w.mean() - 1).max()) if w.mean() > 0 else 0.0 for w in weights])
    if np.median(spread) < UNEQUAL:
        return
    losses = [np.asarray([float(call.loss) for call in step]) for step in steps]
    means = np.asarray([x.mean() for x in losses])
    whole = np.asarray(
        [float((x * w).sum() / w.sum()) for x, w in zip(losses, weights, strict=True) if w.sum() > 0]
    )
    yield Finding(
        "mean_of_means",
        "The means of parts of different sizes are added up in one optimizer step: a row of a small part counts "
        "more than one of a large part.",
        {
            "parts_of_a_step": parts,
            "smallest_part": float(min(w.min() for w in weights)),
            "largest_part": float(max(w.max() for w in weights)),
            "mean_of_means": float(means.mean()),
            "mean_over_rows": float(whole.mean()),
        },
        "total = sum(int((labels != -100).sum()) for labels in parts)  # of the whole step\n"
        'loss = cross_entropy(logits, labels, reduction="sum") / total\n'
        "crossentropy.torch.cross_entropy(logits, labels, normalizer=total)  # the same",
        cost=float(np.abs(means[: len(whole)] - whole).mean()),
    )


def _smoothing(call: Call, labels: Array | None) -> Iterator[Finding]:
    """Find weights of classes that make label smoothing another one for some classes."""
    if call.weight is None or not call.label_smoothing or call.sigmoid or labels is None:
        return
    w = as_numpy(call.weight, "weight").astype(np.float64)
    present = np.unique(labels[(labels >= 0) & (labels < len(w))])
    smoothed = call.label_smoothing * w.mean()
    share = smoothed / np.maximum((1 - call.label_smoothing) * w + smoothed, 1e-300)
    if not len(present) or share[present].max() < SMOOTHED * call.label_smoothing:
        return
    c = int(present[share[present].argmax()])
    yield Finding(
        "weights_in_smoothing",
        "Class weights multiply the smoothed part of the label too, class by class: of a frequent class the weights of "
        "rare ones are most of the loss, so it is smoothed far more than label_smoothing says.",
        {
            "label_smoothing": call.label_smoothing,
            f"smoothing_of_class_{c}": float(share[c]),
            "least_weight": float(w.min()),
            "largest_weight": float(w.max()),
        },
        'losses = cross_entropy(logits, labels, label_smoothing=ε, reduction="none")\n'
        "loss = (losses * weight[labels]).sum() / weight[labels].sum()  # weights of rows",
    )


def _weights(call: Call) -> Iterator[Finding]:
    """Find weights of yes-or-no questions that scale the whole loss."""
    if call.weight is None or not call.sigmoid or call.reduction != "mean":
        return
    mean = float(as_numpy(call.weight, "weight").mean())
    if 1 / SCALED <= mean <= SCALED:
        return
    yield Finding(
        "weight_scale",
        f"The weights have the mean {mean:.3g}, and the mean of the loss divides by the number of elements: loss and "
        "gradient are so many times as large.",
        {"mean_weight": mean},
        "weight / weight.mean()",
    )
