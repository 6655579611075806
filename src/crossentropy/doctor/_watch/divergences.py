"""What is wrong with the arguments of a Kullback-Leibler divergence."""

from collections.abc import Iterator, Sequence

import numpy as np

from crossentropy._arguments.arrays import as_numpy
from crossentropy.doctor._forms import HALF, TOLERANCE, are_distributions, are_log_distributions
from crossentropy.doctor._sample import is_half
from crossentropy.doctor._watch.calls import Call
from crossentropy.doctor.finding import Finding

__all__ = ["divergence_findings"]


def divergence_findings(calls: Sequence[Call]) -> Iterator[Finding]:
    """Find what is wrong with the calls of ``kl_div`` of one line."""
    last = calls[-1]
    notes = last.notes
    kept = [c for c in calls if c.rows is not None]
    forms = list(_forms(kept)) if kept else []
    yield from forms
    if (
        not any(f.name == "kl_swapped" for f in forms)
        and notes["target_has_gradient"]
        and not notes["input_has_gradient"]
    ):
        yield Finding(
            "kl_swapped",
            "The arguments are swapped: the gradient goes to the second one, the target, and the first one, whose "
            "divergence from it is measured, is fixed. This is KL(student ‖ teacher).",
            {"first_has_gradient": False, "second_has_gradient": True},
            'kl_div(log_softmax(student, -1), softmax(teacher, -1), reduction="batchmean")',
        )
    scales = notes["input_scale"], notes["target_scale"]
    if None not in scales and abs(scales[0] / scales[1] - 1) > 1e-6:
        yield Finding(
            "temperatures_differ",
            f"The logits of the first argument are divided by {scales[0]:g}, those of the target by {scales[1]:g}: "
            "at equal logits the divergence is not 0.",
            {"temperature_of_the_first": scales[0], "temperature_of_the_target": scales[1]},
            "one temperature T for both, and the loss times T²: crossentropy.losses.distillation_loss",
        )
    if last.reduction == "mean" and notes["axes"] > 1:
        values = [float(c.loss) for c in calls]
        yield Finding(
            "kl_mean",
            'The divergence is divided by the number of classes as well (reduction="mean"): it is so many times '
            "too small, and so is its gradient.",
            {"classes": last.classes, "loss_as_called": float(np.mean(values))},
            'kl_div(log_q, p, reduction="batchmean")',
            cost=abs(float(np.mean(values))) * (last.classes - 1),
        )


def _forms(kept: Sequence[Call]) -> Iterator[Finding]:
    """Find arguments that are not log-probabilities and probabilities."""
    q = np.concatenate([as_numpy(c.rows, "input") for c in kept]).astype(np.float64)
    p = np.concatenate([as_numpy(c.notes["target"], "target") for c in kept]).astype(np.float64)
    log_target = kept[-1].notes["log_target"]
    tolerance = HALF if is_half(kept[-1]) else TOLERANCE
    first_is_plain = are_distributions(q, tolerance=tolerance)
    second_is_log = are_log_distributions(p, tolerance=tolerance)
    evidence = {"least_of_the_first": float(q.min()), "least_of_the_second": float(p.min())}
    if first_is_plain and second_is_log and not log_target:
        yield Finding(
            "kl_swapped",
            "The arguments are swapped: the first one are probabilities and the second one log-probabilities.",
            evidence,
            'kl_div(log_q, p, reduction="batchmean")  # log-probabilities of the model first',
        )
    elif first_is_plain:
        yield Finding(
            "probabilities_as_log_probabilities",
            "The first argument are probabilities, and kl_div takes log-probabilities.",
            evidence,
            'kl_div(log_softmax(scores, -1), p, reduction="batchmean")',
        )
    elif not are_log_distributions(q, tolerance=tolerance):
        yield Finding(
            "logits_as_log_probabilities",
            "The first argument are no log-probabilities: the exponentials of a row do not sum to 1.",
            evidence,
            'kl_div(log_softmax(scores, -1), p, reduction="batchmean")',
        )
    if second_is_log and not log_target and not first_is_plain:
        yield Finding(
            "log_probabilities_as_probabilities",
            "The second argument are log-probabilities, and log_target does not say so.",
            evidence,
            'kl_div(log_q, log_p, reduction="batchmean", log_target=True)',
        )
    elif log_target and are_distributions(p, tolerance=tolerance):
        yield Finding(
            "probabilities_as_log_probabilities",
            "The second argument are probabilities, and log_target=True says that they are logarithms.",
            evidence,
            'kl_div(log_q, p, reduction="batchmean")',
        )
