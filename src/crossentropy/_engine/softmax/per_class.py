"""Links other than cross-entropy on targets that put mass on several classes.

There ``ℓ = Σ_c a_c φ(log p_c)`` needs ``φ`` of every class, so it is computed from the logits themselves by plain
array formulas: exact, at their speed and in their memory, which is several arrays of the size of the logits.
"""

from crossentropy._backends import INF, Array, as_indices, device, namespace
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import excluded_rows, not_ignored_rows, prepare, zero_weight_rows
from crossentropy._statistics import formulas
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy._statistics.log_sum import LogSum
from crossentropy.links.link import loss_beside_nothing
from crossentropy.links.link import slope as link_slope


def class_masses(problem: SoftmaxProblem, like: Array) -> tuple[Array, Array]:
    """``a_c = w_c q_c`` and the row masses ``Σ w_c t_c``, class axis last."""
    xp = namespace(like)
    w = (
        xp.ones_like(like[..., :1])
        if problem.class_weight is None
        else formulas.widened(problem.class_weight)
    )
    target, C = problem.target, problem.classes
    if target.dense is not None:
        t = formulas.class_last(formulas.widened(target.dense), problem.axis)
    else:
        y = as_indices(target.indices)
        hot = xp.astype(y[..., None] == xp.arange(C, device=device(like)), like.dtype)
        if problem.masses is not None:
            hot = xp.sum(hot * formulas.widened(problem.masses)[..., None], axis=-2)
        t = hot
    r = xp.ones_like(like[..., :1]) / C
    if problem.smoothing_prior is not None:
        r = formulas.widened(problem.smoothing_prior)
    epsilon = problem.label_smoothing
    q = (1 - epsilon) * t + epsilon * r
    return w * q, xp.sum(w * t, axis=-1)


def log_odds_of_classes(problem: SoftmaxProblem) -> Array:
    """``D_c = ln(1 − p_c) − ln p_c`` of every class, class axis last, in float64 where there is one.

    Of the likeliest class ``1 − p`` is what the others add up to; of the rest it is no small difference.
    """
    xp = problem.xp
    u = prepare(problem, zero_weight_rows(problem)).u
    total = LogSum(xp, u)
    others = LogSum(xp, xp.where(total.is_top, xp.full_like(u, -INF), u))
    odds = (others.top - total.top)[..., 0] + xp.log1p(others.rest)
    odds = xp.where(others.empty, odds - INF, odds)[..., None] - total.depth
    log_p = total.depth - xp.log1p(total.rest)[..., None]
    p = xp.where(total.is_top, xp.zeros_like(log_p), xp.exp(log_p))
    return xp.where(total.is_top, odds, xp.log1p(-p) - log_p)


def row_losses(problem: SoftmaxProblem) -> tuple[Array, Array]:
    """``Σ_c a_c φ(log p_c)`` of every row and its mass, by the formula."""
    return losses_of_classes(problem, log_odds_of_classes(problem))


def losses_of_classes(problem: SoftmaxProblem, D: Array) -> tuple[Array, Array]:
    """The same, from ``D_c`` of every class."""
    xp = namespace(D)
    a, masses = class_masses(problem, D)
    losses = xp.sum(a * loss_beside_nothing(problem.link, D, _void(problem, a, D)), axis=-1)
    keep = not_ignored_rows(problem)
    if keep is None:
        return losses, masses
    return xp.where(keep, losses, xp.zeros_like(losses)), xp.where(keep, masses, xp.zeros_like(masses))


def _void(problem: SoftmaxProblem, a: Array, D: Array) -> Array:
    """Where ``D`` is infinite or NaN and counts for nothing, whatever the link would make of it."""
    void, out = a == 0, excluded_rows(problem)
    void = void if out is None else void | out[..., None]
    return void & ~namespace(D).isfinite(D)


def row_gradients(problem: SoftmaxProblem, share: Array) -> Array:
    """``share · (Σ_{k≠c} G_k p_c − a_c φ'(D_c))`` with ``G_c = a_c gain_c``, taken back to the logits.

    The derivative of ``Σ share · row_losses``; `share` is one number for every row, 0 where the row is left out.
    """
    D = log_odds_of_classes(problem)
    xp = namespace(D)
    a, _ = class_masses(problem, D)
    # G (1 − p) = a dφ/dD. Of the likeliest class 1 − p may vanish, so its slope is shared out by p_c/(1 − p).
    slopes = a * link_slope(problem.link, xp.where(_void(problem, a, D), xp.zeros_like(D), D))
    likeliest = _first_least(D)
    zero = xp.zeros_like(D)
    G = xp.where(likeliest, zero, slopes / xp.exp(log_sigmoid(D)))
    own = xp.sum(xp.where(likeliest, slopes, zero), axis=-1, keepdims=True)
    log_p = log_sigmoid(-D)
    log_rest = xp.sum(xp.where(likeliest, log_sigmoid(D), zero), axis=-1, keepdims=True)
    shared = xp.where(likeliest | (log_p == -float("inf")), zero, own * xp.exp(log_p - log_rest))
    du = (xp.sum(G, axis=-1, keepdims=True) - G) * xp.exp(log_p) + shared - slopes
    keep = share != 0
    keep = keep if not_ignored_rows(problem) is None else keep & not_ignored_rows(problem)
    temperature, cap = problem.transform.temperature, problem.transform.softcap
    if getattr(temperature, "ndim", 0):
        temperature = temperature[..., None]
    dz = share[..., None] * du / temperature
    if cap is not None:
        z = formulas.class_last(formulas.widened(problem.logits), problem.axis)
        dz = dz * (1 - xp.tanh(z / cap) ** 2)
    dz = xp.where(keep[..., None], dz, xp.zeros_like(dz))
    return xp.permute_dims(dz, _from_last(dz.ndim, problem.axis))


def _first_least(x: Array) -> Array:
    """Where the first of the least entries along the last axis stands."""
    xp = namespace(x)
    first = xp.argmin(xp.where(x == x, x, xp.full_like(x, float("inf"))), axis=-1, keepdims=True)
    return xp.arange(x.shape[-1], device=device(x)) == first


def _from_last(ndim: int, axis: int) -> tuple[int, ...]:
    """The permutation that brings the last axis back to `axis`."""
    order = list(range(ndim - 1))
    order.insert(axis, ndim - 1)
    return tuple(order)
