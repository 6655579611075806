"""Links other than cross-entropy on targets that put mass on several classes.

There ``ℓ = Σ_c a_c φ(log p_c)`` needs ``φ`` of every class, so it is computed from the logits themselves by plain
array formulas: exact, at their speed and in their memory, which is several arrays of the size of the logits.
"""

from typing import Any

from crossentropy.backends import is_true, namespace
from crossentropy.losses._softmax_formula import kept_rows
from crossentropy.losses._softmax_problem import SoftmaxProblem
from crossentropy.statistics import reference
from crossentropy.statistics.labels import bad_label_error
from crossentropy.statistics.logistic import log_sigmoid

Array = Any


def class_masses(problem: SoftmaxProblem, like: Array) -> tuple[Array, Array]:
    """``a_c = w_c q_c`` and the row masses ``Σ w_c t_c``, class axis last."""
    xp = namespace(like)
    w = (
        xp.ones_like(like[..., :1])
        if problem.class_weight is None
        else reference.widened(problem.class_weight)
    )
    target, C = problem.target, problem.classes
    if target.dense is not None:
        t = reference.class_last(reference.widened(target.dense), problem.axis)
    else:
        y = xp.astype(target.indices, xp.int64)
        hot = xp.astype(y[..., None] == xp.arange(C, device=like.device), like.dtype)
        if problem.masses is not None:
            hot = xp.sum(hot * reference.widened(problem.masses)[..., None], axis=-2)
        t = hot
    r = xp.ones_like(like[..., :1]) / C
    if problem.smoothing_prior is not None:
        r = reference.widened(problem.smoothing_prior)
    epsilon = problem.label_smoothing
    q = (1 - epsilon) * t + epsilon * r
    return w * q, xp.sum(w * t, axis=-1)


def log_odds_of_classes(problem: SoftmaxProblem) -> Array:
    """``D_c = ln(1 − p_c) − ln p_c`` of every class, class axis last, in float64 where there is one.

    Of the likeliest class ``1 − p`` is what the others add up to; of the rest it is no small difference.
    """
    xp = namespace(problem.logits)
    z = reference.class_last(reference.widened(problem.logits), problem.axis)
    on = None
    if problem.target.indices is not None:
        y = xp.astype(problem.target.indices, xp.int64)
        on = y[..., None] == xp.arange(problem.classes, device=z.device)
    u, _ = reference.transformed(z, problem.transform, on)
    total = reference.LogSum(xp, u)
    top = xp.log1p(total.rest)[..., None]
    alone = total.rest == 0
    log_rest = xp.log(xp.where(alone, xp.ones_like(total.rest), total.rest))
    log_rest = xp.where(alone, xp.full_like(log_rest, -float("inf")), log_rest)[..., None]
    log_p = total.depth - top
    p = xp.where(total.is_top, xp.zeros_like(log_p), xp.exp(log_p))
    D = xp.where(total.is_top, log_rest, xp.log1p(-p) - log_p)
    return xp.where((total.empty | total.overflow)[..., None], xp.full_like(D, float("nan")), D)


def row_losses(problem: SoftmaxProblem) -> tuple[Array, Array]:
    """``Σ_c a_c φ(log p_c)`` of every row and its mass, by the formula."""
    D = log_odds_of_classes(problem)
    xp = namespace(D)
    a, masses = class_masses(problem, D)
    losses = xp.sum(a * problem.link.loss(_without_void(a, D)), axis=-1)
    bad, keep = _bad_rows(problem), kept_rows(problem)
    if bad is not None:
        losses = xp.where(bad, xp.full_like(losses, float("nan")), losses)
    if keep is None:
        return losses, masses
    return xp.where(keep, losses, xp.zeros_like(losses)), xp.where(keep, masses, xp.zeros_like(masses))


def _without_void(a: Array, D: Array) -> Array:
    """``D``, but where an impossible class has no mass: such terms are 0, whatever the link makes of them."""
    xp = namespace(D)
    return xp.where((a == 0) & (xp.abs(D) == float("inf")), xp.zeros_like(D), D)


def _bad_rows(problem: SoftmaxProblem) -> Array | None:
    """Rows with a label outside the classes: an error where it can be read and is looked for, else NaN."""
    y, ignore = problem.target.indices, problem.target.ignore_index
    if y is None:
        return None
    xp = namespace(y)
    bad = (y < 0) | (y >= problem.classes)
    bad = bad if ignore is None else bad & (y != ignore)
    if problem.validate and is_true(xp.any(bad)):
        row = int(xp.argmax(xp.reshape(xp.astype(bad, xp.int64), (-1,))))
        several = problem.target.several
        row = row // y.shape[-1] if several else row
        raise bad_label_error(y, row, problem.classes, ignore, several=several)
    return xp.any(bad, axis=-1) if problem.target.several else bad


def row_gradients(problem: SoftmaxProblem, share: Array) -> Array:
    """``share · (Γ p_c − G_c)`` with ``G_c = a_c gain_c``, ``Γ = Σ G``, taken back to the logits.

    The derivative of ``Σ share · row_losses``; `share` is one number for every row, 0 where the row is left out.
    """
    D = log_odds_of_classes(problem)
    xp = namespace(D)
    a, _ = class_masses(problem, D)
    G = a * problem.link.gain(_without_void(a, D))
    p = xp.exp(log_sigmoid(-D))
    du = xp.sum(G, axis=-1, keepdims=True) * p - G
    keep = share != 0
    keep = keep if kept_rows(problem) is None else keep & kept_rows(problem)
    temperature, cap = problem.transform.temperature, problem.transform.softcap
    if getattr(temperature, "ndim", 0):
        temperature = temperature[..., None]
    dz = xp.where(keep[..., None], share[..., None] * du / temperature, xp.zeros_like(du))
    dz = xp.permute_dims(dz, _from_last(dz.ndim, problem.axis))
    if cap is not None:
        dz = dz * (1 - xp.tanh(reference.widened(problem.logits) / cap) ** 2)
    return dz


def _from_last(ndim: int, axis: int) -> tuple[int, ...]:
    """The permutation that brings the last axis back to `axis`."""
    order = list(range(ndim - 1))
    order.insert(axis, ndim - 1)
    return tuple(order)
