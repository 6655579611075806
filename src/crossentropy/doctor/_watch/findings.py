"""From the calls of a training loop to findings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from crossentropy._arguments.arrays import as_numpy
from crossentropy.doctor._forms import READ_AS, form_findings
from crossentropy.doctor._labels import padding_findings
from crossentropy.doctor._numbers import (
    finite_rows,
    half_precision_finding,
    number_findings,
    saturation_findings,
)
from crossentropy.doctor._sample import Sample, is_half
from crossentropy.doctor._watch.calls import Call, Recorder
from crossentropy.doctor._watch.divergences import divergence_findings
from crossentropy.doctor._watch.progress import parameter_findings, progress_findings
from crossentropy.doctor._watch.reductions import reduction_findings
from crossentropy.doctor.finding import Finding

__all__ = ["findings_of", "unseen_of"]


def findings_of(recorder: Recorder) -> Iterator[Finding]:
    """Find what is wrong, line by line, and with the gradients of the parameters."""
    lines: dict[tuple[str, str], list[Call]] = {}
    for call in recorder.calls:
        lines.setdefault((call.where, call.function), []).append(call)
    for (where, _), calls in lines.items():
        for finding in _of_line(calls):
            yield replace(finding, where=where)
    yield from parameter_findings(recorder)


def _of_line(calls: Sequence[Call]) -> Iterator[Finding]:
    if calls[0].function == "kl_div":
        yield from divergence_findings(calls)
        return
    sample = _pooled(calls)
    forms: list[Finding] = []
    if sample is not None:
        forms = list(form_findings(sample.take(finite_rows(sample))))
        yield from forms
        yield from padding_findings(sample.take(sample.in_range))
    yield from _not_finite(calls, sample)
    yield from _half_precision(calls)
    last = _pooled(calls[len(calls) // 2 :])
    if last is not None:
        yield from saturation_findings(last.take(finite_rows(last) & last.in_range))
    yield from reduction_findings(calls, None if sample is None else sample.labels)
    if not any(f.name in READ_AS for f in forms):  # beside which the loss cannot be judged
        yield from progress_findings(calls, None if sample is None else sample.take(sample.in_range))


def _pooled(calls: Sequence[Call]) -> Sample | None:
    """Return the rows that were kept of calls, with the labels of these rows; None if there are none."""
    kept = [c for c in calls if c.rows is not None and c.labels is not None]
    kept = [c for c in kept if c.classes == kept[0].classes]
    if not kept:
        return None
    first = kept[0]
    x = np.concatenate([as_numpy(c.rows, "predictions") for c in kept]).astype(np.float64)
    labels = np.concatenate([as_numpy(c.labels, "labels") for c in kept])
    grid, ignored = labels, first.ignore_index
    if first.sigmoid:
        labels = labels.astype(np.float64)
        rows = np.arange(len(x))
    else:
        labels = labels.astype(np.int64)
        grids = [as_numpy(c.grid, "labels") for c in kept if c.grid is not None]
        grids = [g for g in grids if g.shape[1:] == grids[0].shape[1:]]
        grid = np.concatenate(grids) if grids else labels
        if ignored is None and (labels == -100).any():
            ignored = -100
        rows = np.arange(len(x)) if ignored is None else np.flatnonzero(labels != ignored)
    half = is_half(first)
    return Sample(first.kind, x[rows], labels[rows], first.sigmoid, rows, grid, ignored, half)


def _not_finite(calls: Sequence[Call], sample: Sample | None) -> Iterator[Finding]:
    """Find the first loss that is NaN or infinite."""
    losses = torch.stack([c.loss.float().cpu() for c in calls])
    wrong = ~torch.isfinite(losses)
    if not wrong.any():
        return
    first = int(wrong.int().argmax())
    evidence: dict[str, object] = {
        "first_step": calls[first].step,
        "calls": int(wrong.sum()),
        "loss_before": float(losses[first - 1]) if first else float("nan"),
    }
    if sample is not None:
        for finding in number_findings(sample):
            evidence["kept_rows_that_are_not_finite"] = finding.evidence["rows"]
    yield Finding(
        "not_finite",
        f"The loss is {float(losses[first])} from step {calls[first].step} on.",
        evidence,
        "torch.autograd.set_detect_anomaly(True) names the operation; a smaller learning rate, "
        "torch.nn.utils.clip_grad_norm_, log_softmax in place of log(softmax), float32 in place of half precision",
        cost=float("inf"),
    )


def _half_precision(calls: Sequence[Call]) -> Iterator[Finding]:
    """Find losses that were returned in half precision and differ from those of float32."""
    for call in calls:
        name = is_half(call.loss)
        if not name or call.rows is None or call.labels is None or call.reduction != "mean" or call.sigmoid:
            continue
        if call.kind != "logits" or call.weight is not None or call.label_smoothing:
            continue
        rows, labels = call.rows, call.labels
        kept = (labels >= 0) & (labels < call.classes)
        if len(rows) < call.size:  # not all were kept: the loss of those that were, in both
            in_half = torch.nn.functional.cross_entropy(rows[kept], labels[kept].long())
        else:
            in_half = call.loss
        exact = torch.nn.functional.cross_entropy(rows[kept].float(), labels[kept].long())
        found = list(
            half_precision_finding(
                name,
                float(in_half),
                float(exact),
                "loss = F.cross_entropy(logits.float(), labels)  # crossentropy.torch's is float32 by itself",
            )
        )
        if found:
            yield from found
            return


def unseen_of(recorder: Recorder) -> list[str]:
    """Say what could not be seen, and why."""
    unseen = []
    if not recorder.calls:
        unseen.append(
            "any loss with a gradient: losses of this package and of torch.nn.functional are watched in the "
            "process that calls them, and not inside compiled functions"
        )
    if not recorder.step:
        unseen.append("optimizer steps: none was made by a torch.optim.Optimizer")
    if recorder.without_gradient:
        unseen.append(f"{recorder.without_gradient} calls of losses without a gradient, as in validation")
    unseen += [
        f"the call at {where}, which could not be read: {why}" for where, why in recorder.errors.items()
    ]
    unseen.append(
        "losses of linear heads, which have no logits; losses written out by hand; classes in another order than "
        "the columns, and calibration: crossentropy.doctor.examine sees these in predictions"
    )
    unseen.append(
        "whether rows are learned or only remembered, as where labels were shuffled against the inputs: the loss of "
        "rows that were not trained on then stays at the entropy of their label frequencies, or above it"
    )
    return unseen
