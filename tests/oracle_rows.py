"""The oracle's plain loss of one label a row, for rows of many classes and batches of many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle import INF, ctx, log_sigmoid, numbers


@dataclass(frozen=True)
class IndexRow:
    """The plain loss of one row and label, for many classes: each distinct logit is looked at once.

    The gradient off the target is `slopes[which]`, on it `target_slope`; `log_p` is ln p of every class.
    """

    log_odds_against: Any
    loss: Any
    slopes: list
    target_slope: Any
    which: np.ndarray
    log_p: np.ndarray


def index_row(z: Any, label: int) -> IndexRow:
    distinct, which, counts = np.unique(
        np.asarray(z, dtype=np.float64), return_inverse=True, return_counts=True
    )
    u = numbers(distinct)
    counts = counts.tolist()
    total = _counted_logsumexp(u, counts)
    counts[which[label]] -= 1
    D = _counted_logsumexp(u, counts) - u[which[label]]
    return IndexRow(
        log_odds_against=D,
        loss=-log_sigmoid(-D),
        slopes=[ctx.exp(v - total) for v in u],
        target_slope=-ctx.exp(log_sigmoid(D)),
        which=which,
        log_p=np.array([float(v - total) for v in u])[which],
    )


def _counted_logsumexp(values: Sequence, counts: Sequence[int]) -> Any:
    present = [(v, n) for v, n in zip(values, counts, strict=True) if n]
    top = max((v for v, _ in present), default=-INF)
    return top + ctx.log(ctx.fsum(n * ctx.exp(v - top) for v, n in present)) if present else top


def plain_float64(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradients of many rows in NumPy, right to some 1e-14: for sizes mpmath is too slow for."""
    z = np.asarray(logits, dtype=np.float64)
    at = (np.arange(len(z)), labels)
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[at] -= 1.0
    return -log_p[at], gradient
