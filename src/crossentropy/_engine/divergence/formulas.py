"""Divergences between the softmaxes of logits, row by row.

Each is a sum over the classes of ``a ln(a/b) − a + b = a (e^δ − 1 − δ)`` with ``δ = ln b − ln a``. No term is
negative, so nothing cancels between classes, and the divergence of nearly equal distributions has as many digits as
``δ``. Everything is in nats, computed in float64 where the device has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from crossentropy._backends import INF, Array, constant, expm1, namespace, total
from crossentropy._backends.tape import node, plain
from crossentropy._statistics import PLAIN, Target, Transform, formulas
from crossentropy._statistics.log_sum import LogSum


@dataclass(frozen=True)
class Divergence:
    """A divergence as functions of the log-probabilities of several distributions, class axis last."""

    rows: Callable[..., Array]  # the divergence of every row
    slopes: Callable[..., list[Array | None]]  # its derivatives by the logits of each; None for a constant


def _taped_rows(
    divergence: Divergence, logits: Sequence[Array], transform: Transform, live: Array | None
) -> Array:
    """Compute the divergence of taped logits with derivatives by formula, in one pass instead of a graph of many."""
    logs = [log_probabilities(plain(z), transform, live) for z in logits]

    def pull(g: Array, i: int) -> Array:
        return (g / transform.temperature)[..., None] * divergence.slopes(*logs)[i]

    return node(divergence.rows(*logs), *((z, partial(pull, i=i)) for i, z in enumerate(logits)))


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


def _forward_slopes(student: Array, teacher: Array) -> list[Array | None]:
    """Compute ``p − q``, the derivative of ``KL(teacher ‖ student)``; near 0 as ``q (e^δ − 1)``."""
    xp = namespace(student)
    p, q = xp.exp(student), xp.exp(teacher)
    delta = _finite(xp, student) - _finite(xp, teacher)
    near = xp.abs(delta) < 1
    slope = xp.where(near, q * expm1(xp.where(near, delta, xp.zeros_like(delta))), p - q)
    return [xp.where(student == -INF, xp.zeros_like(p), slope), None]


def _reverse_slopes(student: Array, teacher: Array) -> list[Array | None]:
    """Compute the derivative of ``KL(student ‖ teacher)`` with respect to the student's logits."""
    xp = namespace(student)
    return [_own_slope(xp, student, teacher, _finite(xp, teacher) - _finite(xp, student)), None]


def _jensen_shannon(*log_p: Array) -> Array:
    """Compute ``1/K Σ_i KL(p_i ‖ m)`` of K distributions and their mean ``m``, for every row."""
    xp = namespace(*log_p)
    log_m, deltas = _to_mean(xp, log_p)
    terms = [_terms(xp, l, log_m, delta) for l, delta in zip(log_p, deltas, strict=True)]
    return total(reduce(xp.add, terms), -1) / len(terms)


def _jensen_shannon_slopes(*log_p: Array) -> list[Array | None]:
    """Compute the derivatives of the Jensen–Shannon divergence with respect to each distribution's logits."""
    xp = namespace(*log_p)
    log_m, deltas = _to_mean(xp, log_p)
    return [_own_slope(xp, l, log_m, d) / len(deltas) for l, d in zip(log_p, deltas, strict=True)]


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


def _own_slope(xp: Any, log_a: Array, log_b: Array, delta: Array) -> Array:
    """Compute ``−a (δ + KL(a ‖ b))``, the derivative of ``KL(a ‖ b)`` with respect to the logits of ``a``.

    If ``b`` is the mean it depends on ``a``, but that adds nothing: the mean minimizes the sum of the divergences.
    """
    a = xp.exp(log_a)
    void = (a == 0) | (log_b == -INF)
    delta = xp.where(void, xp.zeros_like(delta), delta)
    return -a * (delta - xp.sum(a * delta, axis=-1, keepdims=True))


def _finite(xp: Any, x: Array) -> Array:
    """Replace −∞ by 0; the terms of such classes are set elsewhere."""
    return xp.where(x == -INF, xp.zeros_like(x), x)


FORWARD = Divergence(_forward, _forward_slopes)
REVERSE = Divergence(_kullback_leibler, _reverse_slopes)
JENSEN_SHANNON = Divergence(_jensen_shannon, _jensen_shannon_slopes)
