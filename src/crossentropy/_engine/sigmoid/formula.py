"""The sigmoid loss as a formula, for every library, link and order of derivative."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crossentropy._backends import Array, constant, device, loss_dtype, namespace, number_of
from crossentropy._backends.conditions import is_zero
from crossentropy._backends.dtypes import dtype_name
from crossentropy._engine.reductions import divide, divided_by_zero, divisor, reduce_rows
from crossentropy._engine.sigmoid.labels import check_binary_labels, valid_labels
from crossentropy._engine.sigmoid.problem import Options, Problem
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links._probabilities import ROOM, largest_exponent
from crossentropy.links.link import loss_beside_nothing
from crossentropy.links.link import slope as link_slope


def element_losses(problem: Problem, weights: tuple[Array, Array] | None, xp: Any) -> Array:
    """The losses of elements times their `weights`, in the shape of the logits."""
    z, positive, negative = logits_and_masses(problem, weights, xp, loss_dtype(problem.logits))
    up, down = _massless(z, positive, xp), _massless(z, negative, xp)
    D, counts = negative_log_odds(xp.where(down, constant(z), z), problem.options, xp)
    negative = xp.where(counts, negative, xp.zeros_like(negative))
    yes = loss_beside_nothing(problem.options.link, -z, up)
    no = loss_beside_nothing(problem.options.negative_link, D, down & ~xp.isfinite(D))
    return positive * yes + negative * no


def reference_loss(
    problem: Problem,
    losses_of: Callable[[Problem, tuple[Array, Array] | None, Any], Array] = element_losses,
) -> Array:
    """The reduced loss, of the losses of elements that `losses_of` computes, or of sums that make up the same total."""
    xp = namespace(problem.logits)
    problem = _finite_where_divided_by_zero(problem, xp)
    weights = element_weights(problem, xp)
    if problem.options.validate:
        counted = None if weights is None else weights[1] != 0
        check_binary_labels(problem.labels, valid_labels(problem.labels), counted)
    options = problem.options
    losses = losses_of(problem, weights, xp)
    summed = losses.shape != problem.logits.shape
    value, _ = reduce_rows(
        losses,
        None if weights is None else weights[1],
        number_of(problem.logits.shape, losses) if summed else None,
        reduction=options.reduction,
        normalizer=options.normalizer,
        empty=options.empty,
    )
    return value


def reference_gradient(problem: Problem, upstream: Array) -> Array:
    """Gradient by the logits from the links' `gain`, for NumPy, where `upstream` is that by the loss."""
    xp = namespace(problem.logits)
    options = problem.options
    weights = element_weights(problem, xp)
    z, positive, negative = logits_and_masses(problem, weights, xp, xp.float64)
    up = xp.where(_massless(z, positive, xp), xp.zeros_like(z), z)
    down = xp.where(_massless(z, negative, xp), xp.zeros_like(z), z)
    D, counts = negative_log_odds(down, options, xp)
    fall = link_slope(options.negative_link, D)
    if not is_zero(options.negative_shift):  # dD/dz = p (1 − p) / (p_m (1 − p_m)), and p_m = σ(D)
        fall = fall * xp.exp(log_sigmoid(down) + log_sigmoid(-down) - log_sigmoid(D) - log_sigmoid(-D))
    slope = xp.where(counts, negative, xp.zeros_like(negative)) * fall
    slope = slope - positive * link_slope(options.link, -up)
    if options.reduction == "mean":
        N = divisor(slope, None if weights is None else weights[1], None, options.normalizer)
        slope = divide(slope, N, "zero")
    return (slope * upstream).astype(problem.logits.dtype)


def element_weights(problem: Problem, xp: Any) -> tuple[Array, Array] | None:
    """``ω w₊`` and ``ω w₋`` in the shape of the logits."""
    options, shape = problem.options, problem.logits.shape
    omega, positive, negative = problem.sample_weight, problem.positive_weight, problem.negative_weight
    if omega is None and positive is None:
        return None
    if positive is not None and negative is None:
        negative = xp.ones_like(positive)
    if omega is not None and problem.weight_per_row:
        omega = xp.expand_dims(omega, axis=options.axis)

    def with_class(vector: Any) -> Array:  # not `Array | None`, which Dynamo of PyTorch 2.6 does not trace
        if vector is None:
            return xp.broadcast_to(omega, shape)
        after = (1,) * (len(shape) - options.axis - 1)
        vector = xp.reshape(vector, (options.classes, *after) if shape else ())
        return xp.broadcast_to(vector if omega is None else omega * vector, shape)

    return with_class(positive), with_class(negative)


def logits_and_masses(
    problem: Problem, weights: tuple[Array, Array] | None, xp: Any, dtype: Any
) -> tuple[Array, Array, Array]:
    """``z``, ``ω w₊ q`` and ``ω w₋ (1 − q)``."""
    z = xp.astype(problem.logits, dtype)
    t = xp.astype(problem.labels, dtype)
    if "float" not in dtype_name(problem.labels):
        t = xp.where((t == 0) | (t == 1), t, xp.full_like(t, math.nan))
    if weights is not None:
        void = (weights[0] == 0) & (weights[1] == 0) & ~xp.isfinite(t)
        t = xp.where(void, xp.zeros_like(t), t)
    epsilon = problem.options.label_smoothing
    yes, no = (1 - epsilon) * t + epsilon / 2, (1 - epsilon) * (1 - t) + epsilon / 2
    return (z, yes, no) if weights is None else (z, weights[0] * yes, weights[1] * no)


def _finite_where_divided_by_zero(problem: Problem, xp: Any) -> Problem:
    """The problem, with logits of 0 for infinite and NaN ones where the loss is divided by 0 and has no gradient."""
    z = problem.logits
    divided = divided_by_zero(problem.options.normalizer, tuple(z.shape), xp, device(z))
    if divided is None:
        return problem
    return replace(problem, logits=xp.where(divided & ~xp.isfinite(z), xp.zeros_like(z), z))


def _massless(z: Array, mass: Array, xp: Any) -> Array:
    """Where a logit is infinite or NaN and has no mass."""
    return (mass == 0) & ~xp.isfinite(z)


def negative_log_odds(z: Array, options: Options, xp: Any) -> tuple[Array, Array]:
    """The log-odds of ``p_m = max(p − m, 0)``, and where it is not 0 (there they are 0, to be left out)."""
    m = options.negative_shift
    if is_zero(m):
        return z, xp.ones_like(z, dtype=xp.bool)
    p_m = xp.exp(log_sigmoid(z)) - m
    counts = ~(p_m <= 0)
    p_m = xp.where(counts, p_m, xp.full_like(p_m, 0.5))
    D = xp.log(p_m) - _log_of_rest(log_sigmoid(-z), m, xp)
    return xp.where(counts, D, xp.zeros_like(D)), counts


def _log_of_rest(log_miss: Array, m: Any, xp: Any) -> Array:
    """``ln(1 − p + m)`` from ``ln(1 − p)``: 1 − p and m may both be too small to have an inverse."""
    if isinstance(m, float):
        log_m = xp.full_like(log_miss, math.log(m))
        more = log_miss > log_m
        return xp.where(more, log_miss, log_m) - log_sigmoid(
            xp.where(more, log_miss - log_m, log_m - log_miss)
        )
    # an array may hold 0, whose logarithm has no derivative
    deep, zero = -log_miss > largest_exponent(log_miss) - ROOM, xp.zeros_like(log_miss)
    near = log_miss + xp.log1p(m * xp.exp(-xp.where(deep, zero, log_miss)))
    some = m + zero > 0
    far = xp.where(some, xp.log(xp.where(some, m + zero, zero + 1)), log_miss)
    return xp.where(deep, far, near)
