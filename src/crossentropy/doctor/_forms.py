"""Whether predictions are what they are declared to be: probabilities, logarithms or logits, on the right axis."""

import math
from collections.abc import Iterator

import numpy as np

from crossentropy.doctor._sample import Array, Sample
from crossentropy.doctor.finding import Finding
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = [
    "HALF",
    "READ_AS",
    "TOLERANCE",
    "are_distributions",
    "are_log_distributions",
    "form_findings",
    "normalized_axis",
]

#: How far from 1 sums may be, of numbers that were rounded to float32, and to half precision.
TOLERANCE, HALF = 1e-3, 2e-2
#: Fewer numbers than this may lie in [0, 1] by chance.
FEW = 16
#: What a form that was found is, so that the other checks can go on with it.
READ_AS = {
    "softmax_twice": "probabilities",
    "sigmoid_twice": "probabilities",
    "logits_as_probabilities": "logits",
    "log_probabilities_as_probabilities": "log_probabilities",
    "probabilities_as_log_probabilities": "probabilities",
    "logits_as_log_probabilities": "logits",
    "percentages": "probabilities",
}


def are_distributions(x: Array, axis: int = -1, *, tolerance: float = TOLERANCE) -> bool:
    """Tell whether all numbers are in [0, 1] and sum to one along an axis."""
    if x.shape[axis] < 2 or not x.size or x.min() < 0 or x.max() > 1 + tolerance:
        return False
    return bool((np.abs(x.sum(axis=axis) - 1) <= tolerance).all())


def are_log_distributions(x: Array, axis: int = -1, *, tolerance: float = TOLERANCE) -> bool:
    """Tell whether the exponentials are distributions along an axis."""
    if not x.size or x.max() > tolerance:
        return False
    return are_distributions(np.exp(x), axis, tolerance=tolerance)


def true_form(sample: Sample) -> str:
    """Say what the numbers of a softmax are by what they sum to; "logits" if they are no distributions."""
    tolerance = HALF if sample.half else TOLERANCE
    if are_distributions(sample.x, tolerance=tolerance):
        return "probabilities"
    return "log_probabilities" if are_log_distributions(sample.x, tolerance=tolerance) else "logits"


def normalized_axis(x: Array, axis: int) -> int | None:
    """Return an axis, other than that of the classes, along which these are distributions; None if there is none."""
    if are_distributions(x, axis) or are_log_distributions(x, axis):
        return None
    others = [k for k in range(x.ndim) if k != axis % x.ndim and x.shape[k] > 1]
    return next((k for k in others if are_distributions(x, k) or are_log_distributions(x, k)), None)


def form_findings(sample: Sample) -> Iterator[Finding]:
    """Find predictions that are something else than declared."""
    if not len(sample):
        return
    if sample.sigmoid:
        yield from _sigmoid_findings(sample)
    elif sample.kind == "logits":
        yield from _logit_findings(sample)
    elif sample.kind == "probabilities":
        yield from _probability_findings(sample)
    else:
        yield from _log_probability_findings(sample)


def _logit_findings(sample: Sample) -> Iterator[Finding]:
    form, C = true_form(sample), sample.classes
    if form == "probabilities":
        # shifted by 1, so that it does not warn
        floor = float(softmax_cross_entropy(np.eye(1, C) + 1, np.asarray([0])))
        yield _applied_twice(
            sample,
            "softmax_twice",
            "The logits are probabilities already: each row lies in [0, 1] and sums to 1. The loss takes their "
            f"softmax once more, and cannot fall below ln(e + {C - 1}) − 1 = {floor:.4g} nats, whatever is learned.",
            floor,
            "loss = cross_entropy(scores, labels)  # scores before the softmax: drop nn.Softmax or softmax()",
        )
    elif form == "log_probabilities":
        yield Finding(
            "log_probabilities_as_logits",
            "The logits are log-probabilities: the exponentials of each row sum to 1. The softmax leaves them as they "
            "are, so the loss is right; the logarithm of the softmax is computed twice.",
            {"loss_as_called": sample.loss},
            "loss = cross_entropy(scores, labels)  # scores before log_softmax; or nll_loss(log_probabilities, labels)",
            cost=0.0,
        )


def _sigmoid_findings(sample: Sample) -> Iterator[Finding]:
    x = sample.x
    inside = x.size >= FEW and x.min() >= 0 and x.max() <= 1
    if sample.kind == "logits" and inside and x.max() > x.min():
        t = sample.labels
        floor = float(sigmoid_cross_entropy(np.where(t > 0.5, 1.0, 0.0), t))
        yield _applied_twice(
            sample,
            "sigmoid_twice",
            "The logits are probabilities already: all lie in [0, 1]. The loss takes their sigmoid once more, which is "
            f"never below 1/2, so it cannot fall below {floor:.4g} nats on these labels.",
            floor,
            "loss = binary_cross_entropy_with_logits(scores, labels)  # scores before the sigmoid",
        )
    elif sample.kind == "probabilities" and (x.min() < 0 or x.max() > 1):
        yield _logits_as_probabilities(sample)
    elif sample.kind == "probabilities":
        t = sample.labels
        yield from _zero_probability(sample, (((x == 0) & (t > 0)) | ((x == 1) & (t < 1))).any(axis=1))
    elif sample.kind == "log_probabilities" and x.max() > TOLERANCE:
        yield Finding(
            "logits_as_log_probabilities",
            "The log-probabilities are logits: some are above 0, and no probability is above 1.",
            {"least": float(x.min()), "largest": float(x.max())},
            "examine(logits, labels)  # the loss: binary_cross_entropy_with_logits",
        )


def _applied_twice(sample: Sample, name: str, what: str, floor: float, instead: str) -> Finding:
    """Report probabilities that a loss takes for logits: its floor, and the loss that they have themselves."""
    losses = sample.read_as("probabilities").losses
    finite = losses[np.isfinite(losses)]
    own = float(finite.mean()) if len(finite) else math.inf
    return Finding(
        name,
        what,
        {"loss_as_called": sample.loss, "floor_of_the_loss": floor, "loss_of_these_probabilities": own},
        f"{instead}\ncrossentropy.log_loss(probabilities, labels)  # if only probabilities are at hand",
        cost=abs(sample.loss - own) if len(finite) else None,
    )


def _probability_findings(sample: Sample) -> Iterator[Finding]:
    x = sample.x
    totals = x.sum(axis=1)
    if x.min() < 0 or x.max() > 1 + TOLERANCE:
        if x.min() >= 0 and (np.abs(totals - 100) < 1).all():
            yield Finding(
                "percentages",
                "The probabilities are percentages: each row sums to 100.",
                {"largest": float(x.max()), "mean_sum": float(totals.mean())},
                "probabilities / 100",
            )
        elif x.min() >= 0 and len(x) > 1 and np.ptp(totals) <= TOLERANCE * totals.mean():
            yield Finding(
                "unnormalized_probabilities",
                "The probabilities are not divided by their sum, which is the same in each row and not 1.",
                {"largest": float(x.max()), "mean_sum": float(totals.mean())},
                "probabilities / probabilities.sum(axis=-1, keepdims=True)",
            )
        elif are_log_distributions(x):
            yield Finding(
                "log_probabilities_as_probabilities",
                "The probabilities are log-probabilities: the exponentials of each row sum to 1.",
                {"least": float(x.min()), "largest": float(x.max())},
                "examine(log_probabilities=x, labels=labels)  # or numpy.exp(x)",
            )
        else:
            yield _logits_as_probabilities(sample)
        return
    wrong = np.abs(totals - 1) > (HALF if sample.half else 1e-2)
    if wrong.any():
        yield Finding(
            "unnormalized_probabilities",
            "The probabilities of a row do not sum to 1, so the log loss is none of a distribution. Those of a sigmoid "
            "for each class do not; those of a softmax do.",
            {
                "rows": int(wrong.sum()),
                "share_of_rows": float(wrong.mean()),
                "first_row": int(sample.places[wrong.argmax()]),
                "its_sum": float(totals[wrong.argmax()]),
            },
            "softmax(scores, axis=-1) for classes of which one is true; binary_cross_entropy for any number of them",
        )
    sums = sample.take(~wrong)
    yield from _zero_probability(sums, sums.x[np.arange(len(sums)), sums.labels] == 0)


def _zero_probability(sample: Sample, impossible: Array) -> Iterator[Finding]:
    """Find rows whose label has the probability 0."""
    if not impossible.any():
        return
    loss, last = (
        ("binary_cross_entropy_with_logits", "sigmoid") if sample.sigmoid else ("cross_entropy", "softmax")
    )
    yield Finding(
        "zero_probability",
        "A label was given the probability 0: the log loss is infinite.",
        {
            "rows": int(impossible.sum()),
            "share_of_rows": float(impossible.mean()),
            "first_row": int(sample.places[impossible.argmax()]),
        },
        f"{loss}(logits, labels)  # scores before the {last} lose no small probability to rounding",
        cost=float("inf"),
    )


def _logits_as_probabilities(sample: Sample) -> Finding:
    x = sample.x
    wrong = (x < 0) | (x > 1)
    return Finding(
        "logits_as_probabilities",
        "The probabilities lie outside [0, 1]: they are scores before the softmax or the sigmoid.",
        {
            "least": float(x.min()),
            "largest": float(x.max()),
            "first_row": int(sample.places[wrong.any(axis=1).argmax()]),
        },
        "examine(logits, labels)  # the loss: cross_entropy, or binary_cross_entropy_with_logits",
    )


def _log_probability_findings(sample: Sample) -> Iterator[Finding]:
    form = true_form(sample)
    if form == "log_probabilities":
        return
    loss_as_called = float(-sample.x[np.arange(len(sample)), sample.labels].mean())
    if form == "probabilities":
        yield Finding(
            "probabilities_as_log_probabilities",
            "The log-probabilities are probabilities: each row lies in [0, 1] and sums to 1. The loss is then the "
            "mean of −p, which is negative, and hardly punishes a label that was thought impossible.",
            {
                "loss_as_called": loss_as_called,
                "log_loss": sample.read_as("probabilities").loss,
            },
            "loss = nll_loss(log_softmax(scores, 1), labels)  # or cross_entropy(scores, labels)",
        )
        return
    top = sample.x.max(axis=1)
    totals = top + np.log(np.exp(sample.x - top[:, None]).sum(axis=1))
    yield Finding(
        "logits_as_log_probabilities",
        "The log-probabilities are logits: the exponentials of a row do not sum to 1. The loss is then the mean of −z, "
        "which has no lower bound: it falls by raising all scores.",
        {
            "loss_as_called": loss_as_called,
            "cross_entropy": sample.read_as("logits").loss,
            "mean_log_of_the_sums": float(totals.mean()),
        },
        "loss = cross_entropy(logits, labels)  # or nll_loss(log_softmax(logits, 1), labels)",
    )
