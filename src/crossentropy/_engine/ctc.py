"""Connectionist temporal classification of logits, by PyTorch's algorithm."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from crossentropy._arguments.arrays import as_option
from crossentropy._backends.conditions import is_true
from crossentropy._engine.checks import check_logits, check_validate
from crossentropy._engine.divergence.formulas import log_probabilities
from crossentropy._engine.reductions import check_reduction
from crossentropy._engine.rows.reduce import reduced
from crossentropy._engine.weights import row_values
from crossentropy._versions import torch_is_exporting


def loss(
    logits: Tensor,
    labels: Any,
    input_lengths: Any,
    label_lengths: Any,
    *,
    blank: int,
    zero_infinity: bool,
    sample_weight: Any,
    reduction: str,
    normalizer: Any,
    empty: str,
    validate: str,
) -> Tensor:
    """Compute `crossentropy.losses.ctc_loss`, whose docstring has the arguments."""
    if torch_is_exporting():
        raise RuntimeError(
            "ctc_loss cannot be exported: what PyTorch's own ctc_loss keeps has a shape that depends on the lengths; "
            "leave the loss out of the program, or record it with torch.jit.trace"
        )
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    check_logits(logits, -1)
    if logits.ndim != 3:
        raise ValueError(
            f"logits have shape {tuple(logits.shape)}; pass (N, T, C): sequences, steps, classes"
        )
    N, T, C = logits.shape
    if not 0 <= blank < C:
        raise ValueError(f"blank is {blank}, but the {C} classes are 0 to {C - 1}")
    y = _integers(labels, "labels", logits)
    if y.ndim != 2 or y.shape[0] != N:
        raise ValueError(f"labels have shape {tuple(y.shape)}; pass (N, S) with N = {N}, padded behind")
    S = y.shape[1]
    steps = _lengths(input_lengths, "input_lengths", T, logits, checked)
    sizes = _lengths(label_lengths, "label_lengths", S, logits, checked)

    is_label = torch.arange(S, device=y.device) < sizes[:, None]
    bad = is_label & ((y < 0) | (y >= C) | (y == blank))
    weight = row_values(sample_weight, logits, (N,), "sample_weight")
    idle = None if weight is None else weight == 0
    bad = bad if idle is None else bad & ~idle[:, None]
    if checked and is_true(bad.any()):
        n, s = (int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"label {int(y[n, s])} at row {n}, place {s} is none of the {C} classes 0 to {C - 1} less the blank {blank}"
        )
    y = torch.where(bad | ~is_label, 1 if blank == 0 and C > 1 else 0, y)
    if idle is not None:  # an excluded row gets a finite loss, for 0 · ∞ is NaN
        logits, sizes = torch.where(idle[:, None, None], 0.0, logits), torch.where(idle, 0, sizes)
    log_p = log_probabilities(logits).transpose(0, 1)
    losses = F.ctc_loss(log_p, y, steps, sizes, blank=blank, reduction="none", zero_infinity=zero_infinity)
    losses = torch.where(bad.any(-1), torch.nan, losses)
    return reduced(
        losses, logits, sample_weight=weight, reduction=reduction, normalizer=normalizer, empty=empty
    )


def _integers(values: Any, name: str, logits: Tensor) -> Tensor:
    """Convert integers to int64 on the device of the logits."""
    x = as_option(values, name, logits)
    if x.is_floating_point() or x.is_complex():
        raise TypeError(f"{name} have dtype {x.dtype}; pass integers, for example {name}.long()")
    return x.long()


def _lengths(values: Any, name: str, most: int, logits: Tensor, checked: bool) -> Tensor:
    """Convert lengths, one for each sequence (N,), and check that they are from 0 to `most`."""
    x = _integers(values, name, logits)
    if tuple(x.shape) != (logits.shape[0],):
        raise ValueError(
            f"{name} have shape {tuple(x.shape)}; pass one for each sequence, shape ({logits.shape[0]},)"
        )
    wrong = (x < 0) | (x > most)
    if checked and is_true(wrong.any()):
        n = int(wrong.nonzero()[0])
        raise ValueError(f"{name}[{n}] is {int(x[n])}; there are {most}, so it is from 0 to {most}")
    return x
