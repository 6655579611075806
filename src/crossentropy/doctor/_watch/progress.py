"""How a loss begins and goes on, and the gradients that come back."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from crossentropy.doctor._learning import initial_loss_finding
from crossentropy.doctor._sample import Sample
from crossentropy.doctor._watch.calls import Call, Recorder
from crossentropy.doctor.finding import Finding

__all__ = ["parameter_findings", "progress_findings"]

#: Calls that are needed to tell that a loss stays where it is, and labels to know their entropy.
CALLS, LABELS = 30, 200


def progress_findings(calls: Sequence[Call], sample: Sample | None) -> Iterator[Finding]:
    """Find a first loss that is too high, one that stays at the entropy of the labels or above, and no gradient."""
    losses = _mean_losses(calls)
    yield from _dead(calls, losses)
    if not all(c.is_plain for c in calls) or calls[0].kind == "log_probabilities":
        return
    if not calls[0].step:
        yield from initial_loss_finding(float(losses[0]), calls[0].classes, calls[0].sigmoid)
    if sample is not None and calls[0].weight is None and not calls[0].label_smoothing:
        yield from _stuck(losses, sample)


def _mean_losses(calls: Sequence[Call]) -> np.ndarray:
    losses = torch.stack([c.loss.double().cpu() for c in calls]).numpy()
    sizes = np.asarray([max(1, c.size) if c.reduction == "sum" else 1 for c in calls])
    return np.asarray(losses / sizes)


def _stuck(losses: np.ndarray, sample: Sample) -> Iterator[Finding]:
    H = sample.entropy
    if len(losses) < CALLS or len(sample) < LABELS or H < 0.05 or not np.isfinite(losses).all():
        return
    first, last = np.array_split(losses, 2)  # the first half also undoes the start
    before, after = np.array_split(last, 2)
    if abs(last.mean() - H) <= 0.02 * H and not _falls(before, after):
        message = (
            f"The loss stays at {last.mean():.4g} nats, the entropy of the label frequencies: the model predicts how "
            "frequent each class is, and nothing about a row."
        )
    elif last.mean() > H and not _falls(first, last):
        message = (
            f"The loss does not fall: {first.mean():.4g} nats in the first half of the calls, {last.mean():.4g} in the "
            f"second, above the {H:.4g} of a model that knows only how frequent each class is."
        )
    else:
        return
    yield Finding(
        "not_learned",
        message,
        {
            "loss_of_the_first_calls": float(first.mean()),
            "loss_of_the_last_calls": float(last.mean()),
            "entropy_of_label_frequencies": H,
            "ln_C": math.log(2 if sample.sigmoid else sample.classes),
            "calls": len(losses),
        },
        "a check that the model can learn at all: train on 20 rows until their loss is 0. If it cannot, look at the "
        "inputs (all alike, shuffled against the labels), at the learning rate (10 times as much, or a tenth), and at "
        "gradients that are 0",
    )


def _falls(before: np.ndarray, after: np.ndarray) -> bool:
    """Tell whether the mean falls by more than three standard errors."""
    error = math.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    return bool(before.mean() - after.mean() > 3 * error)


def _dead(calls: Sequence[Call], losses: np.ndarray) -> Iterator[Finding]:
    gradients = [float(c.gradient) for c in calls if c.gradient is not None]
    if len(gradients) >= 3 and not any(gradients) and losses.mean() > 1e-6:
        yield Finding(
            "dead_gradients",
            "The gradient of the loss by the predictions is 0 in every call that was looked at, and the loss is not.",
            {"calls": len(gradients), "mean_loss": float(losses.mean())},
            "loss.backward() on this loss, not times 0; crossentropy keeps the gradient of saturated rows",
        )


def parameter_findings(recorder: Recorder) -> Iterator[Finding]:
    """Find parameters without a gradient, or with one that is 0, at every step that was looked at."""
    looks = recorder.parameters
    if len(looks) < 2 or len({len(look) for look in looks}) > 1:
        return
    sizes = [size for _, size, _ in looks[0]]
    values = [[None if g is None else float(g) for _, _, g in look] for look in looks]
    zero = [i for i in range(len(sizes)) if all(look[i] == 0 for look in values)]
    none = [i for i in range(len(sizes)) if all(look[i] is None for look in values)]
    missing = 2 * sum(sizes[i] for i in none) > sum(sizes)
    dead = sorted([*zero, *(none if missing else [])])
    if not dead:
        return
    shapes = [str(looks[0][i][0]) for i in dead]
    yield Finding(
        "dead_gradients",
        f"{len(dead)} of {len(sizes)} parameters of the optimizer have no gradient, or one that is exactly 0, at "
        "every step that was looked at: they do not learn.",
        {
            "parameters": ", ".join(shapes[:6]) + (", …" if len(shapes) > 6 else ""),
            "share_of_numbers": sum(sizes[i] for i in dead) / max(1, sum(sizes)),
            "gradient_0": len(zero),
            "gradient_None": len(dead) - len(zero),
            "steps_looked_at": len(looks),
        },
        "no detach(), no .data, no torch.no_grad() between them and the loss; the optimizer made of the parameters of "
        "the model that is trained; inputs that are not all 0; units of ReLU that are never above 0 need a smaller "
        "learning rate or another start",
    )
