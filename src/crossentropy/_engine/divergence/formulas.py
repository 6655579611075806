"""Divergences between the softmaxes of logits, row by row.

Each is a sum over the classes of ``a ln(a/b) − a + b = a (e^δ − 1 − δ)`` with ``δ = ln b − ln a``. No term is
negative, so nothing cancels between classes, and the divergence of nearly equal distributions has as many digits as
``δ``. Everything is in nats, computed in float64 where the device has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from crossentropy._backends import INF, Array, constant, expm1, namespace, total
from crossentropy._statistics import PLAIN, Target, Transform, formulas
from crossentropy._statistics.log_sum import LogSum


@dataclass(frozen=True)
class Divergence:
    """A divergence as a function of the log-probabilities of several distributions, class axis last."""

    kind: str
    rows: Callable[..., Array]  # the divergence of every row


def log_probabilities(logits: Array, transform: Transform = PLAIN, live: Array | None = None) -> Array:
    """Compute ``ln p`` along the last axis, in float64 where the device has it; a logit of −∞ has no gradient.

    Rows where `live` is false are excluded: an invalid one among them is computed from zeros.
    """
    idle = None if live is None else ~live
    u = formulas.prepare(logits, logits.ndim - 1, Target(), transform, idle=idle).u
    xp = namespace(u)
    row = LogSum(xp, u)
    depth = xp.where(u == -INF, xp.full_like(u, -INF), row.depth)
    return depth - xp.log1p(row.rest)[..., None]


def _kullback_leibler(log_p: Array, log_q: Array) -> Array:
    """Compute ``KL(p ‖ q)`` of every row."""
    xp = namespace(log_p)
    return total(_terms(xp, log_p, log_q, _finite(xp, log_q) - _finite(xp, log_p)), -1)


def _forward(student: Array, teacher: Array) -> Array:
    """Compute ``KL(teacher ‖ student)`` of every row."""
    return _kullback_leibler(teacher, student)


def _jensen_shannon(*log_p: Array) -> Array:
    """Compute ``1/K Σ_i KL(p_i ‖ m)`` of K distributions and their mean ``m``, for every row."""
    xp = namespace(*log_p)
    log_m, deltas = _to_mean(xp, log_p)
    terms = [_terms(xp, l, log_m, delta) for l, delta in zip(log_p, deltas, strict=True)]
    return total(reduce(xp.add, terms), -1) / len(terms)


def _to_mean(xp: Any, log_p: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Compute ``ln m`` of the mean of distributions, and an accurate ``ln m − ln p`` for each."""
    top = constant(reduce(xp.maximum, log_p))  # a constant, for ln m does not depend on it
    nowhere = top == -INF
    top = xp.where(nowhere, xp.zeros_like(top), top)
    depths = [l - top for l in log_p]
    mean = reduce(xp.add, (expm1(d) for d in depths)) / len(depths)
    log_mean = xp.log1p(xp.where(nowhere, xp.zeros_like(mean), mean))
    log_m = xp.where(nowhere, xp.full_like(mean, -INF), log_mean + top)
    return log_m, [log_mean - _finite(xp, d) for d in depths]


def _terms(xp: Any, log_a: Array, log_b: Array, delta: Array) -> Array:
    """Compute ``a ln(a/b) − a + b`` of every class; `delta` is an accurate ``ln b − ln a`` where both are positive.

    Where only ``b`` is 0 the term is +∞, with the gradient ``−a`` with respect to ``ln b`` and 0 to ``ln a``.
    """
    a, b = xp.exp(log_a), xp.exp(log_b)
    void, impossible = a == 0, (a > 0) & (log_b == -INF)
    zero = xp.zeros_like(delta)
    delta = xp.where(void | impossible, zero, delta)
    near = ~void & (xp.abs(delta) < 1)
    small = xp.where(near, delta, zero)
    terms = xp.where(near, a * (expm1(small) - small), b - a - a * delta)
    return xp.where(impossible, -constant(a) * xp.where(impossible, log_b, zero), terms)


def _finite(xp: Any, x: Array) -> Array:
    """Replace −∞ by 0; the terms of such classes are set elsewhere."""
    return xp.where(x == -INF, xp.zeros_like(x), x)


FORWARD = Divergence("forward", _forward)
REVERSE = Divergence("reverse", _kullback_leibler)
JENSEN_SHANNON = Divergence("jensen-shannon", _jensen_shannon)
